package output

import "github.com/sandmill/sandmill/guest-sdk/go/internal/abi"

//go:wasmimport sandmill:output/output@0.1.0 progress
func hostProgress(percent float64, message string)

//go:wasmimport sandmill:output/output@0.1.0 write
func write(chunk string)

func hostWrite(chunk []byte) {
	write(abi.AsText(chunk))
}
