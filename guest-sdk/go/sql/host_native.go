//go:build !wasip1

package sql

import "github.com/sandmill/sandmill/guest-sdk/go/internal/fake"

// A transaction of the fake is the database: nothing is undone.

func hostQuery(handle uint32, statement, parameters string) (string, error) {
	return fake.Host.SqlQuery(handle, statement, parameters)
}

func hostExecute(handle uint32, statement, parameters string) (uint64, error) {
	return fake.Host.SqlExecute(handle, statement, parameters)
}

func hostTransactionQuery(handle uint32, statement, parameters string) (string, error) {
	return fake.Host.SqlQuery(handle, statement, parameters)
}

func hostTransactionExecute(handle uint32, statement, parameters string) (uint64, error) {
	return fake.Host.SqlExecute(handle, statement, parameters)
}

func hostBegin(handle uint32) (uint32, error) { return handle, nil }
func hostCommit(uint32) error                 { return nil }
func hostDrop(uint32)                         {}

var _ = codes
