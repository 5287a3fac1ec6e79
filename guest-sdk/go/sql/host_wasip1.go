package sql

import (
	"unsafe"

	"github.com/sandmill/sandmill/guest-sdk/go/internal/abi"
	"github.com/sandmill/sandmill/guest-sdk/go/internal/fault"
)

//go:wasmimport sandmill:sql/sql@0.1.0 query
func query(handle uint32, statement, parameters string, returned unsafe.Pointer)

//go:wasmimport sandmill:sql/sql@0.1.0 execute
func execute(handle uint32, statement, parameters string, returned unsafe.Pointer)

//go:wasmimport sandmill:sql/sql@0.1.0 [static]transaction.begin
func begin(handle uint32, returned unsafe.Pointer)

//go:wasmimport sandmill:sql/sql@0.1.0 [method]transaction.query
func transactionQuery(handle uint32, statement, parameters string, returned unsafe.Pointer)

//go:wasmimport sandmill:sql/sql@0.1.0 [method]transaction.execute
func transactionExecute(handle uint32, statement, parameters string, returned unsafe.Pointer)

//go:wasmimport sandmill:sql/sql@0.1.0 [method]transaction.commit
func commit(handle uint32, returned unsafe.Pointer)

//go:wasmimport sandmill:sql/sql@0.1.0 [resource-drop]transaction
func drop(handle uint32)

// caseDatabase is the one error that is no text.
const caseDatabase = 2

// An error takes 16 words. Before it stands the discriminant; where the other payload is a u64 a word is left free after that.
func failed(area abi.Area, word int) error {
	if area.Case(0) == 0 {
		return nil
	}
	if area.Case(word) != caseDatabase {
		return area.Failure(name, codes, word)
	}
	said := DatabaseError{Code: area.Text(word + 1), Message: area.Text(word + 3)}
	for i, into := range []*string{&said.Detail, &said.Hint, &said.Constraint} {
		if value := area.Maybe(word + 5 + 3*i); value != nil {
			*into = *value
		}
	}
	if area.Case(word+14) == 1 {
		said.Position = area[word+15]
	}
	return &fault.Error{Name: name, Code: codes[caseDatabase], Message: said.Message, Details: said}
}

// rows takes the columns too: what the host wrote has to be taken to be let go.
func rows(area abi.Area) (string, error) {
	if err := failed(area, 1); err != nil {
		return "", err
	}
	columns := abi.List(area[1], area[2], 4)
	for i := range columns {
		if i%2 == 0 {
			columns.Text(i)
		}
	}
	return area.Text(3), nil
}

func written(area abi.Area) (uint64, error) {
	if err := failed(area, 2); err != nil {
		return 0, err
	}
	return area.U64(2), nil
}

func hostQuery(handle uint32, statement, parameters string) (string, error) {
	area := abi.New(17)
	query(handle, statement, parameters, area.At())
	return rows(area)
}

func hostTransactionQuery(handle uint32, statement, parameters string) (string, error) {
	area := abi.New(17)
	transactionQuery(handle, statement, parameters, area.At())
	return rows(area)
}

func hostExecute(handle uint32, statement, parameters string) (uint64, error) {
	area := abi.New(18)
	execute(handle, statement, parameters, area.At())
	return written(area)
}

func hostTransactionExecute(handle uint32, statement, parameters string) (uint64, error) {
	area := abi.New(18)
	transactionExecute(handle, statement, parameters, area.At())
	return written(area)
}

func hostBegin(handle uint32) (uint32, error) {
	area := abi.New(17)
	begin(handle, area.At())
	return area[1], failed(area, 1)
}

func hostCommit(handle uint32) error {
	area := abi.New(17)
	commit(handle, area.At())
	return failed(area, 1)
}

func hostDrop(handle uint32) { drop(handle) }
