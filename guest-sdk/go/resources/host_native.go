//go:build !wasip1

package resources

import "github.com/sandmill/sandmill/guest-sdk/go/internal/fake"

func hostOpen(path string) (uint32, error) { return fake.Host.OpenResource(path) }
func hostPath(handle uint32) string        { return fake.Host.Resource(handle).Path }
func hostKind(handle uint32) string        { return fake.Host.Resource(handle).Kind }
func hostFields(handle uint32) string      { return fake.Host.Resource(handle).Fields }
func hostPlaceholder(handle uint32, pointer string) (string, error) {
	return fake.Host.Placeholder("ResourceError", fake.Host.Resource(handle).Path+pointer)
}

var _, _ = name, codes
