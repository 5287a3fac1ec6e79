// Package resources opens typed objects at paths, some of whose fields are secret. Granted by path: `[grants] resources = ["f/demo/*"]`.
//
// Errors are *sandmill.Error with the name "ResourceError" and a code: "denied", "invalid", "not-found", "unavailable".
package resources

import (
	"github.com/sandmill/sandmill/guest-sdk/go/internal/fault"
	"github.com/sandmill/sandmill/guest-sdk/go/internal/text"
)

const name = "ResourceError"

var codes = []string{"denied", "invalid", "not-found", "unavailable"}

// Resource is used without its secrets being seen. It ends with the run.
type Resource struct {
	// Handle is the host's number for it, for the packages sql and publish.
	Handle uint32
}

// Open opens the resource at a path.
func Open(path string) (*Resource, error) {
	handle, err := hostOpen(text.Utf8(path))
	if err != nil {
		return nil, err
	}
	return &Resource{handle}, nil
}

// Path is where it is, e.g. f/demo/database.
func (r *Resource) Path() string { return hostPath(r.Handle) }

// Kind is the name of its type, e.g. postgresql.
func (r *Resource) Kind() string { return hostKind(r.Handle) }

// Placeholder is text that stands for the secret field at a JSON pointer, e.g. /token. The host puts the secret in its place in requests
// that a grant lets use the resource, and nowhere else.
func (r *Resource) Placeholder(pointer string) (string, error) {
	return hostPlaceholder(r.Handle, text.Utf8(pointer))
}

// Fields are those that are not secret.
func Fields[T any](r *Resource) (T, error) {
	return fault.Decode[T](hostFields(r.Handle))
}
