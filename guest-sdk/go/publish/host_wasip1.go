package publish

import (
	"runtime"
	"strings"
	"unsafe"

	"github.com/sandmill/sandmill/guest-sdk/go/internal/abi"
)

//go:wasmimport sandmill:publish/publish@0.1.0 publish
func publish(handle uint32, to, payload string, headers unsafe.Pointer, count, hasID uint32, id string, kept uint32, returned unsafe.Pointer)

// hostPublish copies the headers into one block on the heap: addresses of texts on the stack could be old when the host reads them.
func hostPublish(handle uint32, m Message) (string, error) {
	area := abi.New(4)
	var joined strings.Builder
	for _, header := range m.Headers {
		joined.WriteString(header[0])
		joined.WriteString(header[1])
	}
	texts := []byte(joined.String() + " ")
	list := abi.New(4*len(m.Headers) + 1)
	begin, word := 0, 0
	for _, header := range m.Headers {
		for _, text := range header {
			list[word] = uint32(uintptr(unsafe.Pointer(&texts[begin])))
			list[word+1] = uint32(len(text))
			begin += len(text)
			word += 2
		}
	}
	publish(handle, m.To, abi.AsText(m.Payload), list.At(), uint32(len(m.Headers)), abi.Flag(m.ID != ""), m.ID, abi.Flag(m.Kept), area.At())
	runtime.KeepAlive(texts)
	if area.Case(0) != 0 {
		return "", area.Failure(name, codes, 1)
	}
	return area.Text(1), nil
}
