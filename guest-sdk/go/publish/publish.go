// Package publish sends messages to brokers, over resources that describe them. Granted by the resource's path:
// `[grants] publish = ["f/demo/broker"]`.
//
// Errors are *sandmill.Error with the name "PublishError" and a code: "denied", "invalid", "too-large", "unavailable". With "unavailable"
// the message may have arrived: one with an ID is sent again as a repetition that the broker knows.
package publish

import (
	"github.com/sandmill/sandmill/guest-sdk/go/internal/fault"
	"github.com/sandmill/sandmill/guest-sdk/go/internal/text"
	"github.com/sandmill/sandmill/guest-sdk/go/resources"
)

const name = "PublishError"

var codes = []string{"denied", "invalid", "too-large", "unavailable"}

// Message is what is sent.
type Message struct {
	// To is the subject, topic or queue: as the broker calls it.
	To      string
	Payload []byte
	// Headers are names and values, in this order; a name may be there several times.
	Headers [][2]string
	// ID lets the broker know a repetition; only a broker that keeps messages does. Empty is none.
	ID string
	// Kept says that the message counts as sent only once the broker says that it keeps it.
	Kept bool
}

// Send sends a message over the resource of a broker, and returns once the broker has it, as far as it says so. What the broker said is a JSON
// object of its kind.
func Send[Said any](via *resources.Resource, message Message) (Said, error) {
	said, err := hostPublish(via.Handle, message.utf8())
	if err != nil {
		var none Said
		return none, err
	}
	return fault.Decode[Said](said)
}

// utf8 is the message in texts that the host takes.
func (m Message) utf8() Message {
	headers := make([][2]string, len(m.Headers))
	for i, header := range m.Headers {
		headers[i] = [2]string{text.Utf8(header[0]), text.Utf8(header[1])}
	}
	m.To, m.ID, m.Headers = text.Utf8(m.To), text.Utf8(m.ID), headers
	return m
}
