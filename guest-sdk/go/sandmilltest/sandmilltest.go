// Package sandmilltest runs scripts in `go test`, with a host in memory: what is not on wasm asks it instead of Sandmill.
package sandmilltest

import (
	"encoding/json"
	"testing"

	"github.com/sandmill/sandmill/guest-sdk/go/internal/fake"
	"github.com/sandmill/sandmill/guest-sdk/go/internal/script"
)

// Host is the host in memory: what the script finds, and what it left.
type Host = fake.Memory

// Resource is what a host has under a path.
type Resource = fake.Resource

// Message is one that a script sent over a broker.
type Message = fake.Message

// Result is what a run returned: JSON, or bytes with a media type.
type Result = script.Output

// New is a host that knows nothing; it is asked until the test ends.
func New(t testing.TB) *Host {
	before := fake.Host
	fake.Host = fake.New()
	t.Cleanup(func() { fake.Host = before })
	return fake.Host
}

// Run runs the script with arguments in JSON, as a host does.
func Run(args string) (Result, error) {
	return script.Registered().Run(args)
}

// Preprocess turns an event in JSON into arguments; nil if there is nothing to do.
func Preprocess(event string) (*string, error) {
	return script.Preprocessor()(event)
}

// Schema is the JSON Schema of the arguments.
func Schema(t testing.TB) map[string]any {
	t.Helper()
	var schema map[string]any
	if err := json.Unmarshal([]byte(script.Registered().Describe()), &schema); err != nil {
		t.Fatal(err)
	}
	return schema
}
