package fake

import (
	"fmt"
	"slices"
	"time"

	"github.com/sandmill/sandmill/guest-sdk/go/internal/fault"
	"github.com/sandmill/sandmill/guest-sdk/go/internal/script"
)

// A handle of an object is a number under which its key is; what is being written lies under a key that no object can have.

func (m *Memory) handle(key string) uint32 {
	handle := uint32(len(m.reading) + 1)
	m.reading[handle] = key
	return handle
}

func (m *Memory) OpenBlob(key string) (uint32, bool, error) {
	object, found := m.Blobs[key]
	if !found {
		return 0, false, nil
	}
	handle := m.handle(key)
	// Reading takes from a copy.
	m.Blobs[unread(handle)] = Object{Key: key, Data: slices.Clone(object.Data)}
	return handle, true, nil
}

func unread(handle uint32) string { return fmt.Sprintf("\x00%d", handle) }

func (m *Memory) BlobOf(handle uint32) Object { return m.Blobs[m.reading[handle]] }

func (m *Memory) ReadBlob(handle, bytesMax uint32) ([]byte, bool, error) {
	copied := m.Blobs[unread(handle)]
	if len(copied.Data) == 0 {
		delete(m.Blobs, unread(handle))
		return nil, false, nil
	}
	n := min(int(bytesMax), len(copied.Data))
	chunk := copied.Data[:n]
	copied.Data = copied.Data[n:]
	m.Blobs[unread(handle)] = copied
	return chunk, true, nil
}

func (m *Memory) CreateBlob(key, contentType string) (uint32, error) {
	handle := m.handle(key)
	m.Blobs[unread(handle)] = Object{Key: key, ContentType: contentType}
	return handle, nil
}

func (m *Memory) WriteBlob(handle uint32, chunk []byte) error {
	object := m.Blobs[unread(handle)]
	object.Data = append(object.Data, chunk...)
	m.Blobs[unread(handle)] = object
	return nil
}

func (m *Memory) FinishBlob(handle uint32) Object {
	object := m.Blobs[unread(handle)]
	object.Modified = time.Unix(0, 0).UTC()
	delete(m.Blobs, unread(handle))
	m.Blobs[object.Key] = object
	return object
}

// PublishMessage sends what the test's function takes.
func (m *Memory) PublishMessage(handle uint32, message Message) (string, error) {
	if m.Publish == nil {
		return "", &fault.Error{Name: "PublishError", Code: "unavailable", Message: "the test gives no Publish"}
	}
	message.Path, message.Payload = m.opened[handle-1], slices.Clone(message.Payload)
	said, err := m.Publish(message)
	if err == nil {
		m.Messages = append(m.Messages, message)
	}
	return said, err
}

// StartRun runs the test's function at once; its id is its number.
func (m *Memory) StartRun(path, args string) (string, error) {
	run, found := m.Scripts[path]
	if !found {
		return "", missing("RunsError", path)
	}
	child := Child{Path: path, Args: args}
	var encoded string
	encoded, child.Err = run(args)
	child.Output = script.Output{JSON: encoded}
	m.Started = append(m.Started, child)
	return fmt.Sprint(len(m.Started)), nil
}

// Child is the run of an id.
func (m *Memory) Child(id string) (*Child, error) {
	for i := range m.Started {
		if fmt.Sprint(i+1) == id {
			return &m.Started[i], nil
		}
	}
	return nil, missing("RunsError", id)
}
