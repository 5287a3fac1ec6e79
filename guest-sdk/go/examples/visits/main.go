// Counts the visits of each name.
package main

import (
	"errors"

	"github.com/sandmill/sandmill/guest-sdk/go"
	"github.com/sandmill/sandmill/guest-sdk/go/log"
	"github.com/sandmill/sandmill/guest-sdk/go/state"
)

type Args struct {
	Name string `json:"name" desc:"Who visits"`
}

type Result struct {
	Visits int `json:"visits"`
}

// Others may count at the same time: only a value that is still the one that was read is replaced.
func visit(args Args) (Result, error) {
	key := "visits/" + args.Name
	for range 1000 {
		visits, found, err := state.Get[int](key)
		if err != nil {
			return Result{}, err
		}
		var before any = visits
		if !found {
			before = state.Absent
		}
		wrote, err := state.CompareAndSwap(key, before, visits+1)
		if err != nil {
			return Result{}, err
		}
		if wrote {
			log.Info("visit", log.Fields{"name": args.Name, "visits": visits + 1})
			return Result{visits + 1}, nil
		}
	}
	return Result{}, errors.New("others were first, a thousand times")
}

func init() {
	sandmill.Main(visit)
}

func main() {}
