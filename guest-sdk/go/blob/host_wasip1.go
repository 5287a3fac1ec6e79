package blob

import (
	"time"
	"unsafe"

	"github.com/sandmill/sandmill/guest-sdk/go/internal/abi"
)

//go:wasmimport sandmill:blob/blob@0.1.0 get
func get(key string, returned unsafe.Pointer)

//go:wasmimport sandmill:blob/blob@0.1.0 put
func put(key string, hasType uint32, contentType string, returned unsafe.Pointer)

//go:wasmimport sandmill:blob/blob@0.1.0 stat
func stat(key string, returned unsafe.Pointer)

//go:wasmimport sandmill:blob/blob@0.1.0 delete
func remove(key string, returned unsafe.Pointer)

//go:wasmimport sandmill:blob/blob@0.1.0 list
func list(prefix string, hasAfter uint32, after string, limit uint32, returned unsafe.Pointer)

//go:wasmimport sandmill:blob/blob@0.1.0 [method]reader.info
func readerInfo(handle uint32, returned unsafe.Pointer)

//go:wasmimport sandmill:blob/blob@0.1.0 [method]reader.read
func readerRead(handle, bytesMax uint32, returned unsafe.Pointer)

//go:wasmimport sandmill:blob/blob@0.1.0 [resource-drop]reader
func dropReader(handle uint32)

//go:wasmimport sandmill:blob/blob@0.1.0 [method]writer.write
func writerWrite(handle uint32, bytes string, returned unsafe.Pointer)

//go:wasmimport sandmill:blob/blob@0.1.0 [method]writer.finish
func writerFinish(handle uint32, returned unsafe.Pointer)

//go:wasmimport sandmill:blob/blob@0.1.0 [resource-drop]writer
func dropWriter(handle uint32)

// objectWords has 9 words of an object, and one that aligns the next.
const objectWords = 10

// readObject reads key, size, time and optional media type.
func readObject(area abi.Area, word int) Info {
	info := Info{Key: area.Text(word), Size: area.U64(word + 2), Modified: time.UnixMilli(int64(area.U64(word + 4))).UTC()}
	if contentType := area.Maybe(word + 6); contentType != nil {
		info.ContentType = *contentType
	}
	return info
}

// failed: the payload begins at word 1, or at word 2 where the other one has 64-bit numbers.
func failed(area abi.Area, word int) error {
	if area.Case(0) == 0 {
		return nil
	}
	return area.Failure(name, codes, word)
}

func hostGet(key string) (handle uint32, found bool, err error) {
	area := abi.New(4)
	get(key, area.At())
	if err := failed(area, 1); err != nil {
		return 0, false, err
	}
	return area[2], area.Case(1) == 1, nil
}

func hostInfo(handle uint32) Info {
	area := abi.New(objectWords)
	readerInfo(handle, area.At())
	return readObject(area, 0)
}

func hostRead(handle, bytesMax uint32) (chunk []byte, more bool, err error) {
	area := abi.New(4)
	readerRead(handle, bytesMax, area.At())
	if err := failed(area, 1); err != nil {
		return nil, false, err
	}
	if area.Case(1) == 0 {
		return nil, false, nil
	}
	return area.Bytes(2), true, nil
}

func hostPut(key, contentType string) (uint32, error) {
	area := abi.New(4)
	put(key, abi.Flag(contentType != ""), contentType, area.At())
	return area[1], failed(area, 1)
}

func hostWrite(handle uint32, chunk []byte) error {
	area := abi.New(4)
	writerWrite(handle, abi.AsText(chunk), area.At())
	return failed(area, 1)
}

func hostFinish(handle uint32) (Info, error) {
	area := abi.New(2 + objectWords)
	writerFinish(handle, area.At())
	if err := failed(area, 2); err != nil {
		return Info{}, err
	}
	return readObject(area, 2), nil
}

func hostStat(key string) (*Info, error) {
	area := abi.New(4 + objectWords)
	stat(key, area.At())
	if err := failed(area, 2); err != nil || area.Case(2) == 0 {
		return nil, err
	}
	info := readObject(area, 4)
	return &info, nil
}

func hostDelete(key string) error {
	area := abi.New(4)
	remove(key, area.At())
	return failed(area, 1)
}

func hostList(prefix string, after *string, limit uint32) ([]Info, error) {
	area := abi.New(4)
	hasAfter, afterText := abi.Option(after)
	list(prefix, hasAfter, afterText, limit, area.At())
	if err := failed(area, 1); err != nil {
		return nil, err
	}
	elements := abi.List(area[1], area[2], objectWords)
	objects := make([]Info, 0, area[2])
	for word := 0; word < len(elements); word += objectWords {
		objects = append(objects, readObject(elements, word))
	}
	return objects, nil
}

func hostDropReader(handle uint32) { dropReader(handle) }
func hostDropWriter(handle uint32) { dropWriter(handle) }
