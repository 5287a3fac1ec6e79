// Package output sends partial results to whoever follows the run.
package output

import "github.com/sandmill/sandmill/guest-sdk/go/internal/text"

// Progress says how far the run is, from 0 to 100 percent.
func Progress(percent float64, message string) {
	hostProgress(percent, text.Utf8(message))
}

// Write appends to the run's output stream. It counts against the log limit.
func Write(chunk []byte) {
	hostWrite(chunk)
}
