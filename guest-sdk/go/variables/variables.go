// Package variables reads text at paths, secret or not. Granted by path: `[grants] variables = ["f/demo/*"]`.
//
// Errors are *sandmill.Error with the name "VariableError" and a code: "denied", "invalid", "not-found", "unavailable".
package variables

import "github.com/sandmill/sandmill/guest-sdk/go/internal/text"

const name = "VariableError"

var codes = []string{"denied", "invalid", "not-found", "unavailable"}

// Get is the text of a variable. That of a secret one needs a grant of its own: `[grants] secrets = ["f/demo/token"]`.
func Get(path string) (string, error) {
	return hostGet(text.Utf8(path))
}

// Secret is text that stands for a secret variable's. The host puts the secret in its place in requests that a grant lets use it, and
// nowhere else.
func Secret(path string) (string, error) {
	return hostPlaceholder(text.Utf8(path))
}
