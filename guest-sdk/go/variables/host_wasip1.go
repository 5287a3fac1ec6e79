package variables

import (
	"unsafe"

	"github.com/sandmill/sandmill/guest-sdk/go/internal/abi"
)

//go:wasmimport sandmill:variables/variables@0.1.0 get
func get(path string, returned unsafe.Pointer)

//go:wasmimport sandmill:variables/variables@0.1.0 placeholder
func placeholder(path string, returned unsafe.Pointer)

func textOrError(area abi.Area) (string, error) {
	if area.Case(0) != 0 {
		return "", area.Failure(name, codes, 1)
	}
	return area.Text(1), nil
}

func hostGet(path string) (string, error) {
	area := abi.New(4)
	get(path, area.At())
	return textOrError(area)
}

func hostPlaceholder(path string) (string, error) {
	area := abi.New(4)
	placeholder(path, area.At())
	return textOrError(area)
}
