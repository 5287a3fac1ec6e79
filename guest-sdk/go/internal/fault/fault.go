// Package fault has the one type of error that scripts return and host calls fail with, so that neither needs the other.
package fault

import (
	"encoding/json"
	"errors"
	"reflect"
	"strings"

	"github.com/sandmill/sandmill/guest-sdk/go/internal/text"
)

// Error says that a script or a host call failed. The package sandmill gives it to scripts under the name sandmill.Error.
type Error struct {
	// Name is the class of the error, e.g. "StateError"; "Error" if it is empty.
	Name string
	// Code says which case of a host call's errors it is, e.g. "not-found"; empty for a script's own.
	Code string
	// Message is for people.
	Message string
	// Details is whatever else there is to say, kept as JSON with the run.
	Details any
	// Stack is one frame a line, innermost first.
	Stack string
}

func (e *Error) Error() string {
	return e.Message
}

// Is makes errors.Is(err, &Error{Name: "StateError", Code: "unavailable"}) true for every error of that name and code.
func (e *Error) Is(target error) bool {
	wanted, ok := target.(*Error)
	return ok && wanted.Message == "" && wanted.Name == e.Name && (wanted.Code == "" || wanted.Code == e.Code)
}

// Record is an error as the contract has it: what was not said is empty.
type Record struct {
	Name, Message, Stack, Details string
}

// RecordOf makes a record of any error. The name of one that is no Error is that of its type.
func RecordOf(err error) Record {
	var known *Error
	if !errors.As(err, &known) {
		return Record{Name: typeName(err), Message: err.Error()}
	}
	record := Record{Name: known.Name, Message: err.Error(), Stack: known.Stack}
	if record.Name == "" {
		record.Name = "Error"
	}
	details := known.Details
	if details == nil && known.Code != "" {
		details = map[string]string{"code": known.Code}
	}
	if details != nil {
		encoded, err := json.Marshal(details)
		if err != nil {
			encoded, _ = json.Marshal(map[string]string{"unreadable": err.Error()})
		}
		record.Details = string(encoded)
	}
	return record
}

func typeName(err error) string {
	kind := reflect.TypeOf(err)
	for kind.Kind() == reflect.Pointer {
		kind = kind.Elem()
	}
	name := kind.Name()
	// Those of errors.New and fmt.Errorf say nothing.
	if name == "" || name == "errorString" || name == "joinError" || strings.HasPrefix(name, "wrapError") {
		return "Error"
	}
	return name
}

// Utf8 is the record in texts that the host takes.
func (r Record) Utf8() Record {
	return Record{Name: text.Utf8(r.Name), Message: text.Utf8(r.Message), Stack: text.Utf8(r.Stack), Details: text.Utf8(r.Details)}
}
