// Package script keeps what a program said of itself until the host, or a test, asks for it.
package script

import (
	"fmt"
	"runtime/debug"

	"github.com/sandmill/sandmill/guest-sdk/go/internal/fault"
)

// Output is the result of a run: JSON, or bytes with a media type.
type Output struct {
	JSON        string
	Binary      bool
	ContentType string
	Data        []byte
}

// Script is a program's functions, on texts of JSON.
type Script struct {
	Run      func(args string) (Output, error)
	Describe func() string
}

var registered *Script

// Register keeps the script; there can be one.
func Register(script Script) {
	if registered != nil {
		panic("sandmill.Main was called twice")
	}
	registered = &script
}

// Registered is the script of this program.
func Registered() Script {
	if registered == nil {
		panic("no init function of this program calls sandmill.Main")
	}
	return *registered
}

var preprocessor func(event string) (*string, error)

// RegisterPreprocessor keeps the preprocessor; there can be one.
func RegisterPreprocessor(preprocess func(event string) (*string, error)) {
	if preprocessor != nil {
		panic("preprocessor.Main was called twice")
	}
	preprocessor = preprocess
}

// Preprocessor is that of this program.
func Preprocessor() func(event string) (*string, error) {
	if preprocessor == nil {
		panic("no init function of this program calls preprocessor.Main")
	}
	return preprocessor
}

// Reset forgets both, for tests of several.
func Reset() {
	registered, preprocessor = nil, nil
}

// Caught makes an error of a panic, so that its message and stack are kept with the run.
func Caught(err *error) {
	if value := recover(); value != nil {
		*err = &fault.Error{Name: "Panic", Message: fmt.Sprint(value), Stack: string(debug.Stack())}
	}
}
