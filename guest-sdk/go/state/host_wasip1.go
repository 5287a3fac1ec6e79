package state

import (
	"unsafe"

	"github.com/sandmill/sandmill/guest-sdk/go/internal/abi"
)

//go:wasmimport sandmill:state/state@0.1.1 get
func get(key string, returned unsafe.Pointer)

//go:wasmimport sandmill:state/state@0.1.1 set
func set(key, value string, returned unsafe.Pointer)

//go:wasmimport sandmill:state/state@0.1.1 delete
func remove(key string, returned unsafe.Pointer)

//go:wasmimport sandmill:state/state@0.1.1 compare-and-swap
func swap(key string, hasBefore uint32, before string, hasAfter uint32, after string, returned unsafe.Pointer)

//go:wasmimport sandmill:state/state@0.1.1 list
func list(prefix string, hasAfter uint32, after string, limit uint32, returned unsafe.Pointer)

// Every result of this interface has its discriminant in word 0 and its payload from word 1: of an error the case, address and length.
const words = 4

func failed(area abi.Area) error {
	if area.Case(0) == 0 {
		return nil
	}
	return area.Failure(name, codes, 1)
}

func hostGet(key string) (*string, error) {
	area := abi.New(words)
	get(key, area.At())
	if err := failed(area); err != nil {
		return nil, err
	}
	return area.Maybe(1), nil
}

func hostSet(key, value string) error {
	area := abi.New(words)
	set(key, value, area.At())
	return failed(area)
}

func hostDelete(key string) error {
	area := abi.New(words)
	remove(key, area.At())
	return failed(area)
}

func hostCompareAndSwap(key string, before, after *string) (bool, error) {
	area := abi.New(words)
	hasBefore, beforeText := abi.Option(before)
	hasAfter, afterText := abi.Option(after)
	swap(key, hasBefore, beforeText, hasAfter, afterText, area.At())
	if err := failed(area); err != nil {
		return false, err
	}
	return area.Case(1) == 1, nil
}

func hostList(prefix string, after *string, limit uint32) ([]string, error) {
	area := abi.New(words)
	hasAfter, afterText := abi.Option(after)
	list(prefix, hasAfter, afterText, limit, area.At())
	if err := failed(area); err != nil {
		return nil, err
	}
	return area.Texts(1), nil
}
