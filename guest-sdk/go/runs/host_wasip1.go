package runs

import (
	"encoding/json"
	"runtime"
	"strings"
	"unsafe"

	"github.com/sandmill/sandmill/guest-sdk/go/internal/abi"
	"github.com/sandmill/sandmill/guest-sdk/go/internal/fault"
	"github.com/sandmill/sandmill/guest-sdk/go/internal/script"
)

//go:wasmimport sandmill:runs/runs@0.1.0 start
func start(path, args string, hasDelay uint32, delay uint64, hasPriority uint32, priority int32, hasTag uint32, tag string, hasKey uint32, key string, returned unsafe.Pointer)

//go:wasmimport sandmill:runs/runs@0.1.0 wait
func wait(run string, hasTimeout uint32, timeout uint64, returned unsafe.Pointer)

//go:wasmimport sandmill:runs/runs@0.1.0 wait-many
func waitMany(runs unsafe.Pointer, count, until, hasTimeout uint32, timeout uint64, returned unsafe.Pointer)

//go:wasmimport sandmill:runs/runs@0.1.0 get-result
func getResult(run string, returned unsafe.Pointer)

//go:wasmimport sandmill:runs/runs@0.1.0 cancel
func cancel(run string, returned unsafe.Pointer)

// caseArguments is the one error that carries a script's error.
const caseArguments = 3

func failed(area abi.Area) error {
	if area.Case(0) == 0 {
		return nil
	}
	if area.Case(1) != caseArguments {
		return area.Failure(name, codes, 1)
	}
	record := area.Record(2)
	known := &fault.Error{Name: name, Code: codes[caseArguments], Message: record.Message}
	if record.Details != "" {
		known.Details = json.RawMessage(record.Details)
	}
	return known
}

// readEnding reads 13 words: the case; an output, or an outcome and an error.
func readEnding(area abi.Area, word int) *ending {
	switch area.Case(word) {
	case 0:
		if area.Case(word+1) == 0 {
			return &ending{output: script.Output{JSON: area.Text(word + 2)}}
		}
		return &ending{output: script.Output{ContentType: area.Text(word + 2), Data: area.Bytes(word + 4), Binary: true}}
	case 1:
		return &ending{skipped: true}
	}
	return &ending{outcome: area.Text(word + 1), failure: area.Record(word + 3)}
}

func given(text string) uint32 { return abi.Flag(text != "") }

func number(value *uint64) (uint32, uint64) {
	if value == nil {
		return 0, 0
	}
	return 1, *value
}

func hostStart(path, args string, options Options) (string, error) {
	area := abi.New(12)
	var priority int32
	if options.Priority != nil {
		priority = *options.Priority
	}
	start(path, args, abi.Flag(options.Delay > 0), uint64(max(options.Delay, 0).Milliseconds()), abi.Flag(options.Priority != nil), priority,
		given(options.Tag), options.Tag, given(options.Key), options.Key, area.At())
	if err := failed(area); err != nil {
		return "", err
	}
	return area.Text(1), nil
}

func hostWait(run string, timeout *uint64) (*ending, error) {
	area := abi.New(14)
	has, milliseconds := number(timeout)
	wait(run, has, milliseconds, area.At())
	if err := failed(area); err != nil {
		return nil, err
	}
	return readEnding(area, 1), nil
}

// hostWaitMany copies the ids into one block on the heap: addresses of texts on the stack could be old when the host reads them.
func hostWaitMany(runs []string, until uint32, timeout *uint64) ([]string, error) {
	area := abi.New(12)
	has, milliseconds := number(timeout)
	ids := []byte(strings.Join(runs, "") + " ")
	list := abi.New(2*len(runs) + 1)
	begin := 0
	for i, run := range runs {
		list[2*i] = uint32(uintptr(unsafe.Pointer(&ids[begin])))
		list[2*i+1] = uint32(len(run))
		begin += len(run)
	}
	waitMany(list.At(), uint32(len(runs)), until, has, milliseconds, area.At())
	runtime.KeepAlive(ids)
	if err := failed(area); err != nil {
		return nil, err
	}
	return area.Texts(1), nil
}

func hostGet(run string) (*ending, error) {
	area := abi.New(15)
	getResult(run, area.At())
	if err := failed(area); err != nil || area.Case(1) == 0 {
		return nil, err
	}
	return readEnding(area, 2), nil
}

func hostCancel(run string) (bool, error) {
	area := abi.New(12)
	cancel(run, area.At())
	if err := failed(area); err != nil {
		return false, err
	}
	return area.Case(1) == 1, nil
}
