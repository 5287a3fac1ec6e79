package log

import "github.com/sandmill/sandmill/guest-sdk/go/internal/abi"

//go:wasmimport sandmill:log/log@0.1.0 write
func writeLine(level uint32, message string, hasFields uint32, fields string)

func hostWrite(level uint32, message string, fields *string) {
	hasFields, fieldsText := abi.Option(fields)
	writeLine(level, message, hasFields, fieldsText)
}
