// Package sandmill makes a Go program a script of Sandmill: a WebAssembly component that is called once for each run.
//
//	func init() {
//		sandmill.Main(func(args Args) (Result, error) { … })
//	}
//
// What a script asks of its host is in packages of their own (state, log, variables, …): what is not imported is not in the component.
package sandmill

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"
	"strings"

	"github.com/sandmill/sandmill/guest-sdk/go/internal/fault"
	"github.com/sandmill/sandmill/guest-sdk/go/internal/script"
	"github.com/sandmill/sandmill/guest-sdk/go/internal/text"
)

// Error is how a script fails with a name and details of its own, and what calls of the host fail with.
type Error = fault.Error

// Bytes is a result that is no JSON.
type Bytes struct {
	// ContentType is the media type, e.g. "image/png".
	ContentType string
	Data        []byte
}

// Main says what a run does. It is called in an init function, once. The arguments are a struct, whose JSON Schema is made from its fields,
// or a map. The result is what encoding/json makes of it; Bytes are sent as they are.
func Main[Args, Result any](run func(args Args) (Result, error)) {
	script.Register(script.Script{
		Run: func(args string) (output script.Output, err error) {
			defer script.Caught(&err)
			decoded, err := decode[Args](args)
			if err != nil {
				return output, err
			}
			result, err := run(decoded)
			if err != nil {
				return output, err
			}
			return encode(result)
		},
		Describe: func() string { return describe(reflect.TypeFor[Args]()) },
	})
}

func decode[Args any](encoded string) (Args, error) {
	var args Args
	setDefaults(reflect.ValueOf(&args).Elem())
	if err := json.Unmarshal([]byte(encoded), &args); err != nil {
		return args, &Error{Name: "ArgumentError", Message: err.Error()}
	}
	return args, nil
}

func encode(result any) (script.Output, error) {
	if is, ok := result.(*Bytes); ok && is != nil {
		result = *is
	}
	if is, ok := result.(Bytes); ok {
		return script.Output{ContentType: text.Utf8(is.ContentType), Data: is.Data, Binary: true}, nil
	}
	var encoded bytes.Buffer
	encoder := json.NewEncoder(&encoded)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(result); err != nil {
		return script.Output{}, fmt.Errorf("the result is no JSON: %w", err)
	}
	return script.Output{JSON: strings.TrimSuffix(encoded.String(), "\n")}, nil
}
