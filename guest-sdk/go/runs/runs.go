// Package runs starts runs of other scripts, the children of this run. Granted by path: `[grants] runs = ["f/demo/*"]`.
//
// Errors are *sandmill.Error with the name "RunsError" and a code: "denied", "invalid", "not-found", "invalid-arguments", "too-many",
// "timeout", "unavailable". A child that failed is a *ChildError.
package runs

import (
	"encoding/json"
	"time"

	"github.com/sandmill/sandmill/guest-sdk/go/internal/fault"
	"github.com/sandmill/sandmill/guest-sdk/go/internal/script"
	"github.com/sandmill/sandmill/guest-sdk/go/internal/text"
)

const name = "RunsError"

var codes = []string{"denied", "invalid", "not-found", "invalid-arguments", "too-many", "timeout", "unavailable"}

// Options are what may be said of a child beside its arguments; else its script's manifest holds.
type Options struct {
	// Delay is how long it waits before it may start.
	Delay time.Duration
	// Priority is from -1000 to 1000; nil is this run's.
	Priority *int32
	// Tag is that of the nodes which run it.
	Tag string
	// Key has 1 to 255 characters. A later start by this run with the same key is the same child.
	Key string
}

// Result is what a child returned: JSON, or bytes with a media type.
type Result struct {
	JSON        json.RawMessage
	ContentType string
	Data        []byte
	// Skipped says that its preprocessor had nothing to do.
	Skipped bool
}

// Decode reads a result into a value.
func Decode[T any](result *Result) (T, error) {
	return fault.Decode[T](string(result.JSON))
}

// ChildError is a child that failed, with the name and message of its own error.
type ChildError struct {
	RunID string
	// Outcome is "error", "timeout", "cancelled", …
	Outcome string
	Name    string
	Message string
	Stack   string
	Details json.RawMessage
}

func (e *ChildError) Error() string { return e.Name + ": " + e.Message }

type ending struct {
	output  script.Output
	skipped bool
	outcome string
	failure fault.Record
}

func (e *ending) result(run string) (*Result, error) {
	if e.outcome != "" {
		f := e.failure
		return nil, &ChildError{run, e.outcome, f.Name, f.Message, f.Stack, json.RawMessage(f.Details)}
	}
	if e.skipped {
		return &Result{JSON: json.RawMessage("null"), Skipped: true}, nil
	}
	return &Result{JSON: json.RawMessage(e.output.JSON), ContentType: e.output.ContentType, Data: e.output.Data}, nil
}

// Start starts the script at a path, or at path@number, and returns the run's id once the run is durable.
func Start(path string, args any, options Options) (string, error) {
	encoded, err := fault.Encode(name, args)
	if err != nil {
		return "", err
	}
	options.Tag, options.Key = text.Utf8(options.Tag), text.Utf8(options.Key)
	return hostStart(text.Utf8(path), encoded, options)
}

// Wait waits for a child, at most so long; without a time as long as this run may take. While it waits, the run occupies no slot.
func Wait(run string, timeout ...time.Duration) (*Result, error) {
	ended, err := hostWait(text.Utf8(run), milliseconds(timeout))
	if err != nil {
		return nil, err
	}
	return ended.result(run)
}

// WaitAll waits for all of up to 1,000 children and returns those that have ended.
func WaitAll(runs []string, timeout ...time.Duration) ([]string, error) {
	return hostWaitMany(runs, 0, milliseconds(timeout))
}

// WaitAny waits until one of the children has ended and returns those that have, which after the timeout may be none.
func WaitAny(runs []string, timeout ...time.Duration) ([]string, error) {
	return hostWaitMany(runs, 1, milliseconds(timeout))
}

// Get is how a child ended; nil if it has not.
func Get(run string) (*Result, error) {
	ended, err := hostGet(text.Utf8(run))
	if err != nil || ended == nil {
		return nil, err
	}
	return ended.result(run)
}

// Cancel asks for a child's end, and that of all below it. False if it had ended.
func Cancel(run string) (bool, error) {
	return hostCancel(text.Utf8(run))
}

func milliseconds(timeout []time.Duration) *uint64 {
	if len(timeout) == 0 {
		return nil
	}
	whole := uint64(max(timeout[0], 0).Milliseconds())
	return &whole
}
