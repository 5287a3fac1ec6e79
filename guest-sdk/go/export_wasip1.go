package sandmill

import (
	"unsafe"

	"github.com/sandmill/sandmill/guest-sdk/go/internal/abi"
	"github.com/sandmill/sandmill/guest-sdk/go/internal/fault"
	"github.com/sandmill/sandmill/guest-sdk/go/internal/script"
)

// returned keeps what the host has yet to read, from the return of an export until its cabi_post.
var returned struct {
	area   abi.Area
	output script.Output
	record fault.Record
	schema string
}

//go:wasmexport sandmill:script/main@0.1.0#run
func run(at, bytes uint32) unsafe.Pointer {
	// result<output, error>: 11 words, of which an error takes 10.
	area := abi.New(11)
	returned.area = area
	output, err := script.Registered().Run(abi.Text(at, bytes))
	if err != nil {
		returned.record = fault.RecordOf(err).Utf8()
		area[0] = 1
		area.SetRecord(1, returned.record)
		return area.At()
	}
	returned.output = output
	if output.Binary {
		area[1] = 1
		area.SetText(2, output.ContentType)
		area.SetText(4, abi.AsText(output.Data))
	} else {
		area.SetText(2, output.JSON)
	}
	return area.At()
}

//go:wasmexport cabi_post_sandmill:script/main@0.1.0#run
func ran(unsafe.Pointer) {
	returned.area, returned.output, returned.record = nil, script.Output{}, fault.Record{}
}

//go:wasmexport sandmill:script/schema@0.1.0#describe
func described() unsafe.Pointer {
	area := abi.New(2)
	returned.area, returned.schema = area, script.Registered().Describe()
	area.SetText(0, returned.schema)
	return area.At()
}

//go:wasmexport cabi_post_sandmill:script/schema@0.1.0#describe
func afterDescribed(unsafe.Pointer) {
	returned.area, returned.schema = nil, ""
}
