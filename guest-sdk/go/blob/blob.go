// Package blob keeps objects: bytes under keys, for the workspace. Granted by prefix and mode: `[grants] blob = ["write reports/"]`.
//
// Errors are *sandmill.Error with the name "BlobError" and a code: "denied", "invalid", "too-large", "unavailable".
package blob

import (
	"io"
	"iter"
	"time"

	"github.com/sandmill/sandmill/guest-sdk/go/internal/text"
)

const name = "BlobError"

var codes = []string{"denied", "invalid", "too-large", "unavailable"}

const (
	chunkBytesMax = 1 << 20
	pageObjects   = 1000
)

// Info is what is known of an object.
type Info struct {
	Key      string
	Size     uint64
	Modified time.Time
	// ContentType is missing in lists.
	ContentType string
}

// Reader reads an object from its begin to its end.
type Reader struct {
	handle uint32
	rest   []byte
	ended  bool
}

// Open opens an object; nil if nothing is there. It is closed when it was read.
func Open(key string) (*Reader, error) {
	handle, found, err := hostGet(text.Utf8(key))
	if err != nil || !found {
		return nil, err
	}
	return &Reader{handle: handle}, nil
}

// Info is what is known of it.
func (r *Reader) Info() Info { return hostInfo(r.handle) }

func (r *Reader) Read(into []byte) (int, error) {
	for len(r.rest) == 0 && !r.ended {
		chunk, more, err := hostRead(r.handle, chunkBytesMax)
		if err != nil {
			return 0, err
		}
		r.rest, r.ended = chunk, !more
	}
	if len(r.rest) == 0 {
		return 0, io.EOF
	}
	n := copy(into, r.rest)
	r.rest = r.rest[n:]
	return n, nil
}

// Close lets the object go.
func (r *Reader) Close() error {
	if r.handle != 0 {
		hostDropReader(r.handle)
	}
	r.handle, r.ended, r.rest = 0, true, nil
	return nil
}

// Get reads all of an object; nil if nothing is there.
func Get(key string) ([]byte, error) {
	reader, err := Open(key)
	if err != nil || reader == nil {
		return nil, err
	}
	defer reader.Close()
	return io.ReadAll(reader)
}

// Writer writes an object. It is there once Finish has returned, and nothing of it if Close comes before.
type Writer struct{ handle uint32 }

// Create replaces what is under a key. An empty content type is none.
func Create(key, contentType string) (*Writer, error) {
	handle, err := hostPut(text.Utf8(key), text.Utf8(contentType))
	if err != nil {
		return nil, err
	}
	return &Writer{handle}, nil
}

func (w *Writer) Write(data []byte) (int, error) {
	for written := 0; written < len(data); {
		chunk := data[written:min(len(data), written+chunkBytesMax)]
		if err := hostWrite(w.handle, chunk); err != nil {
			return written, err
		}
		written += len(chunk)
	}
	return len(data), nil
}

// Finish makes the object be there.
func (w *Writer) Finish() (Info, error) { return hostFinish(w.handle) }

// Close ends the writer.
func (w *Writer) Close() error {
	if w.handle != 0 {
		hostDropWriter(w.handle)
	}
	w.handle = 0
	return nil
}

// Put writes an object.
func Put(key string, data []byte, contentType string) (Info, error) {
	writer, err := Create(key, contentType)
	if err != nil {
		return Info{}, err
	}
	defer writer.Close()
	if _, err := writer.Write(data); err != nil {
		return Info{}, err
	}
	return writer.Finish()
}

// Stat is what is known of an object; nil if nothing is there.
func Stat(key string) (*Info, error) { return hostStat(text.Utf8(key)) }

// Delete takes an object away. It is no error if nothing is there.
func Delete(key string) error { return hostDelete(text.Utf8(key)) }

// List are the objects whose keys begin with a prefix, in the order of their bytes. An error ends them.
func List(prefix string) iter.Seq2[Info, error] {
	return func(yield func(Info, error) bool) {
		var after *string
		for {
			objects, err := hostList(text.Utf8(prefix), after, pageObjects)
			if err != nil {
				yield(Info{}, err)
				return
			}
			for _, object := range objects {
				if !yield(object, nil) {
					return
				}
			}
			if len(objects) < pageObjects {
				return
			}
			after = &objects[len(objects)-1].Key
		}
	}
}
