// Package abi is the border to the host: memory that the host writes into, and reading what it wrote (the canonical ABI of the component model).
package abi

import "unsafe"

// Before the runtime stands, memory comes from here: the adapter between WASI 0.1 and 0.2 asks for its stack and its state (two pages)
// while the runtime reads its arguments, when nothing of the allocator may be used yet.
var (
	early     [256 << 10]byte
	earlyUsed uintptr
	ready     bool
)

// held keeps what the host was given until it is taken: until then nothing but a number points to it, which the collector does not see.
var held map[uint32][]uint64

func init() {
	held = map[uint32][]uint64{}
	ready = true
}

// The collector must not begin while the host is inside of a call: it reads the clock, and a component that calls its host while its memory
// is being asked for is ended. A pinned processor puts the collector off until the next allocation outside.
//
//go:linkname procPin runtime.procPin
func procPin() int

//go:linkname procUnpin runtime.procUnpin
func procUnpin()

// Growing the heap reads the clock as well. The adapter answers with the time before, without the host, while this is on.
//
//go:wasmimport wasi_snapshot_preview1 adapter_monotonic_clock_set_paused
func clockPaused(paused bool)

//go:wasmexport cabi_realloc
func realloc(old, oldBytes, align, bytes uint32) uint32 {
	if !ready {
		return reallocEarly(uintptr(align), uintptr(bytes))
	}
	if bytes == 0 {
		// Nobody reads there; it has to be aligned and something.
		return align
	}
	procPin()
	clockPaused(true)
	block := make([]uint64, (uint64(bytes)+7)/8)
	if oldBytes > 0 {
		copy(block, held[old])
		delete(held, old)
	}
	at := uint32(uintptr(unsafe.Pointer(unsafe.SliceData(block))))
	held[at] = block
	clockPaused(false)
	procUnpin()
	return at
}

//go:nosplit
func reallocEarly(align, bytes uintptr) uint32 {
	base := uintptr(unsafe.Pointer(&early))
	begin := (base + earlyUsed + align - 1) &^ (align - 1)
	if begin+bytes > base+uintptr(len(early)) {
		// An address that no memory has: the call traps.
		return ^uint32(0)
	}
	earlyUsed = begin + bytes - base
	return uint32(begin)
}

// take ends the keeping of memory that the host wrote to; the slice's owner keeps it from here on.
func take(at uint32, bytes uint32) unsafe.Pointer {
	block := held[at]
	delete(held, at)
	if uint64(len(block))*8 < uint64(bytes) {
		panic("sandmill: the host wrote outside of what it was given")
	}
	return unsafe.Pointer(unsafe.SliceData(block))
}

// Text is the text that the host wrote. Each can be taken once.
func Text(at, bytes uint32) string {
	if bytes == 0 {
		return ""
	}
	return unsafe.String((*byte)(take(at, bytes)), bytes)
}

// Bytes are the bytes that the host wrote. They can be taken once.
func Bytes(at, bytes uint32) []byte {
	if bytes == 0 {
		return []byte{}
	}
	return unsafe.Slice((*byte)(take(at, bytes)), bytes)
}

// List is the memory of a list of elements of so many words each.
func List(at, elements, words uint32) Area {
	if elements == 0 {
		return nil
	}
	return unsafe.Slice((*uint32)(take(at, elements*words*4)), elements*words)
}
