//go:build !wasip1

package publish

import "github.com/sandmill/sandmill/guest-sdk/go/internal/fake"

func hostPublish(handle uint32, m Message) (string, error) {
	return fake.Host.PublishMessage(handle, fake.Message{To: m.To, Payload: m.Payload, Headers: m.Headers, ID: m.ID, Kept: m.Kept})
}

var _, _ = name, codes
