//go:build !wasip1

package variables

import "github.com/sandmill/sandmill/guest-sdk/go/internal/fake"

func hostGet(path string) (string, error) { return fake.Host.Variable(path) }
func hostPlaceholder(path string) (string, error) {
	return fake.Host.Placeholder("VariableError", path)
}

var _, _ = name, codes
