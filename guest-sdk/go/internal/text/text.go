// Package text makes texts that the host takes.
package text

import "strings"

// Utf8 is a text as the host takes it: one that is not UTF-8 would end the run.
func Utf8(value string) string {
	return strings.ToValidUTF8(value, "\ufffd")
}
