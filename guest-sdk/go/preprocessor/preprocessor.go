// Package preprocessor turns events into the arguments of a script's run. It is a package of its own because a component that exports a
// preprocessor gets its events through it.
package preprocessor

import (
	"encoding/json"
	"fmt"

	"github.com/sandmill/sandmill/guest-sdk/go/internal/script"
)

// HTTP is the event of an HTTP trigger. Those of other kinds are a struct of the fields that a preprocessor looks at.
type HTTP struct {
	Kind string `json:"kind"`
	// Body is JSON where the payload is, a string where it is other text, else base64, which Encoding then says.
	Body     json.RawMessage `json:"body"`
	Encoding string          `json:"encoding"`
	// Raw is the payload byte for byte; empty where it is not UTF-8.
	Raw string `json:"raw"`
	// Query has a text or a list of texts under each name.
	Query   map[string]any    `json:"query"`
	Headers map[string]string `json:"headers"`
	Method  string            `json:"method"`
	Path    string            `json:"path"`
	Params  map[string]string `json:"params"`
	Route   string            `json:"route"`
	Trigger json.RawMessage   `json:"trigger"`
}

// Main says how an event becomes arguments; nil means that there is nothing to do, and the run ends as skipped. It is called in an init
// function, once, beside sandmill.Main.
func Main[Event, Args any](preprocess func(event Event) (*Args, error)) {
	script.RegisterPreprocessor(func(encoded string) (args *string, err error) {
		defer script.Caught(&err)
		var event Event
		if err := json.Unmarshal([]byte(encoded), &event); err != nil {
			return nil, fmt.Errorf("the event is another than the preprocessor takes: %w", err)
		}
		made, err := preprocess(event)
		if err != nil || made == nil {
			return nil, err
		}
		text, err := json.Marshal(made)
		if err != nil {
			return nil, fmt.Errorf("the arguments are no JSON: %w", err)
		}
		object := string(text)
		return &object, nil
	})
}
