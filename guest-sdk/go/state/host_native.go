//go:build !wasip1

package state

import "github.com/sandmill/sandmill/guest-sdk/go/internal/fake"

func hostGet(key string) (*string, error) { return fake.Host.StateGet(key) }
func hostSet(key, value string) error     { return fake.Host.StateSet(key, value) }
func hostDelete(key string) error         { return fake.Host.StateDelete(key) }
func hostCompareAndSwap(key string, before, after *string) (bool, error) {
	return fake.Host.StateSwap(key, before, after)
}
func hostList(prefix string, after *string, limit uint32) ([]string, error) {
	return fake.Host.StateList(prefix, after, int(limit))
}

var _ = codes
