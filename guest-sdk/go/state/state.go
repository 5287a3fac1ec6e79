// Package state is JSON that a script keeps from one run to the next, per script and trigger. A write is durable when the call returns.
//
// Errors are *sandmill.Error with the name "StateError" and a code: "invalid-key", "invalid-json", "too-large", "unavailable".
package state

import (
	"iter"

	"github.com/sandmill/sandmill/guest-sdk/go/internal/fault"
	"github.com/sandmill/sandmill/guest-sdk/go/internal/text"
)

const name = "StateError"

var codes = []string{"invalid-key", "invalid-json", "too-large", "unavailable"}

const pageKeys = 1000

// Get reads a value, and says whether there is one. A key has 1 to 512 bytes and no control characters.
func Get[T any](key string) (value T, found bool, err error) {
	encoded, err := hostGet(text.Utf8(key))
	if err != nil || encoded == nil {
		return value, false, err
	}
	value, err = fault.Decode[T](*encoded)
	return value, err == nil, err
}

// Set writes a value: what encoding/json makes of it, at most 1 MiB.
func Set(key string, value any) error {
	encoded, err := fault.Encode(name, value)
	if err != nil {
		return err
	}
	return hostSet(text.Utf8(key), encoded)
}

// Delete takes a key away. It is no error if there is none.
func Delete(key string) error {
	return hostDelete(text.Utf8(key))
}

// Absent is no value: CompareAndSwap expects that there is none, or leaves none.
var Absent = absent{}

type absent struct{}

// CompareAndSwap writes replacement if the value is the expected one, compared as JSON. It says whether it wrote.
func CompareAndSwap(key string, expected, replacement any) (bool, error) {
	before, err := optional(expected)
	if err != nil {
		return false, err
	}
	after, err := optional(replacement)
	if err != nil {
		return false, err
	}
	return hostCompareAndSwap(text.Utf8(key), before, after)
}

func optional(value any) (*string, error) {
	if value == Absent {
		return nil, nil
	}
	encoded, err := fault.Encode(name, value)
	return &encoded, err
}

// Keys are those that begin with a prefix, in the order of their bytes. An error ends them.
func Keys(prefix string) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		var after *string
		for {
			keys, err := hostList(text.Utf8(prefix), after, pageKeys)
			if err != nil {
				yield("", err)
				return
			}
			for _, key := range keys {
				if !yield(key, nil) {
					return
				}
			}
			if len(keys) < pageKeys {
				return
			}
			after = &keys[len(keys)-1]
		}
	}
}
