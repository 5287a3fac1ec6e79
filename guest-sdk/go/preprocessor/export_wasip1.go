package preprocessor

import (
	"unsafe"

	"github.com/sandmill/sandmill/guest-sdk/go/internal/abi"
	"github.com/sandmill/sandmill/guest-sdk/go/internal/fault"
	"github.com/sandmill/sandmill/guest-sdk/go/internal/script"
)

// returned keeps what the host has yet to read.
var returned struct {
	area   abi.Area
	args   *string
	record fault.Record
}

//go:wasmexport sandmill:script/preprocessor@0.1.0#preprocess
func preprocess(at, bytes uint32) unsafe.Pointer {
	// result<option<json>, error>: 11 words, of which an error takes 10.
	area := abi.New(11)
	returned.area = area
	args, err := script.Preprocessor()(abi.Text(at, bytes))
	if err != nil {
		returned.record = fault.RecordOf(err).Utf8()
		area[0] = 1
		area.SetRecord(1, returned.record)
		return area.At()
	}
	if args != nil {
		returned.args = args
		area[1] = 1
		area.SetText(2, *args)
	}
	return area.At()
}

//go:wasmexport cabi_post_sandmill:script/preprocessor@0.1.0#preprocess
func preprocessed(unsafe.Pointer) {
	returned.area, returned.args, returned.record = nil, nil, fault.Record{}
}
