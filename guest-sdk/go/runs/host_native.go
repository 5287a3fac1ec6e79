//go:build !wasip1

package runs

import "github.com/sandmill/sandmill/guest-sdk/go/internal/fake"

// Children of the fake end at once: they are functions of the test.

func hostStart(path, args string, _ Options) (string, error) { return fake.Host.StartRun(path, args) }

func hostWait(run string, _ *uint64) (*ending, error) { return endingOf(run) }

func hostWaitMany(runs []string, _ uint32, _ *uint64) ([]string, error) { return runs, nil }

func hostGet(run string) (*ending, error) { return endingOf(run) }

func hostCancel(string) (bool, error) { return false, nil }

func endingOf(run string) (*ending, error) {
	child, err := fake.Host.Child(run)
	if err != nil {
		return nil, err
	}
	if child.Err != nil {
		return &ending{outcome: "error", failure: child.Record()}, nil
	}
	return &ending{output: child.Output}, nil
}

var _ = codes
