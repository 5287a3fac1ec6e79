// Package runcontext is what a script may know about its own run. Always granted.
package runcontext

import "time"

// Trigger is what started the run.
type Trigger struct {
	// Kind is e.g. webhook.
	Kind string
	// Path is empty for triggers that every script has.
	Path string
}

// Info is what is known of a run.
type Info struct {
	RunID string
	// Script is its path, e.g. f/demo/hello.
	Script string
	// Version is its digest.
	Version   string
	Workspace string
	// Trigger is nil for a run that no trigger started.
	Trigger *Trigger
	// Attempt is 1 for the first try.
	Attempt int
	// Deadline is when the run is ended.
	Deadline time.Time
	// RunAs is the identity that the run acts as.
	RunAs string
}

// Get is what is known of this run.
func Get() Info { return hostGet() }

// Payload is the event's as it arrived; empty for a run that no event started.
func Payload() []byte { return hostPayload() }
