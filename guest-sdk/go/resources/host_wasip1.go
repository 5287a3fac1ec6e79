package resources

import (
	"unsafe"

	"github.com/sandmill/sandmill/guest-sdk/go/internal/abi"
)

//go:wasmimport sandmill:resources/resources@0.1.0 open
func open(path string, returned unsafe.Pointer)

//go:wasmimport sandmill:resources/resources@0.1.0 [method]handle.path
func handlePath(handle uint32, returned unsafe.Pointer)

//go:wasmimport sandmill:resources/resources@0.1.0 [method]handle.kind
func handleKind(handle uint32, returned unsafe.Pointer)

//go:wasmimport sandmill:resources/resources@0.1.0 [method]handle.fields
func handleFields(handle uint32, returned unsafe.Pointer)

//go:wasmimport sandmill:resources/resources@0.1.0 [method]handle.placeholder
func handlePlaceholder(handle uint32, pointer string, returned unsafe.Pointer)

func hostOpen(path string) (uint32, error) {
	area := abi.New(4)
	open(path, area.At())
	if area.Case(0) != 0 {
		return 0, area.Failure(name, codes, 1)
	}
	return area[1], nil
}

func textOf(call func(uint32, unsafe.Pointer), handle uint32) string {
	area := abi.New(2)
	call(handle, area.At())
	return area.Text(0)
}

func hostPath(handle uint32) string   { return textOf(handlePath, handle) }
func hostKind(handle uint32) string   { return textOf(handleKind, handle) }
func hostFields(handle uint32) string { return textOf(handleFields, handle) }

func hostPlaceholder(handle uint32, pointer string) (string, error) {
	area := abi.New(4)
	handlePlaceholder(handle, pointer, area.At())
	if area.Case(0) != 0 {
		return "", area.Failure(name, codes, 1)
	}
	return area.Text(1), nil
}
