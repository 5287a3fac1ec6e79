package runcontext

import (
	"time"
	"unsafe"

	"github.com/sandmill/sandmill/guest-sdk/go/internal/abi"
)

//go:wasmimport sandmill:context/context@0.1.0 get
func get(returned unsafe.Pointer)

//go:wasmimport sandmill:context/context@0.1.0 payload
func payload(returned unsafe.Pointer)

func hostGet() Info {
	area := abi.New(20)
	get(area.At())
	info := Info{RunID: area.Text(0), Script: area.Text(2), Version: area.Text(4), Workspace: area.Text(6), RunAs: area.Text(18)}
	if area.Case(8) == 1 {
		info.Trigger = &Trigger{Kind: area.Text(9)}
		if path := area.Maybe(11); path != nil {
			info.Trigger.Path = *path
		}
	}
	info.Attempt = int(area[14])
	info.Deadline = time.UnixMilli(int64(area.U64(16))).UTC()
	return info
}

func hostPayload() []byte {
	area := abi.New(2)
	payload(area.At())
	return area.Bytes(0)
}
