// Package log writes structured lines into the run's log. What is printed lands in the same log.
package log

import (
	"encoding/json"
	"fmt"

	"github.com/sandmill/sandmill/guest-sdk/go/internal/text"
)

// Fields are what is said beside the message.
type Fields map[string]any

const (
	levelTrace uint32 = iota
	levelDebug
	levelInfo
	levelWarn
	levelError
)

// Trace writes a line of that level. Several Fields are taken together.
func Trace(message string, fields ...Fields) { write(levelTrace, message, fields) }

// Debug writes a line of that level.
func Debug(message string, fields ...Fields) { write(levelDebug, message, fields) }

// Info writes a line of that level.
func Info(message string, fields ...Fields) { write(levelInfo, message, fields) }

// Warn writes a line of that level.
func Warn(message string, fields ...Fields) { write(levelWarn, message, fields) }

// Error writes a line of that level.
func Error(message string, fields ...Fields) { write(levelError, message, fields) }

// write never fails: a field that is no JSON is written as fmt shows it.
func write(level uint32, message string, fields []Fields) {
	if len(fields) == 0 {
		hostWrite(level, text.Utf8(message), nil)
		return
	}
	encodable := map[string]json.RawMessage{}
	for _, some := range fields {
		for name, value := range some {
			encoded, err := json.Marshal(value)
			if err != nil {
				encoded, _ = json.Marshal(fmt.Sprint(value))
			}
			encodable[name] = encoded
		}
	}
	encoded, _ := json.Marshal(encodable)
	object := string(encoded)
	hostWrite(level, text.Utf8(message), &object)
}
