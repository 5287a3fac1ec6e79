// Package sql asks databases: resources of the types postgresql and sqlite. Granted by path and mode: `[grants] sql = ["read f/demo/db"]`.
//
// Errors are *sandmill.Error with the name "SqlError" and a code: "denied", "invalid", "database", "too-large", "timeout", "unavailable".
// Details of a "database" are a DatabaseError.
package sql

import (
	"encoding/json"
	"fmt"
	"math/big"

	"github.com/sandmill/sandmill/guest-sdk/go/internal/fault"
	"github.com/sandmill/sandmill/guest-sdk/go/internal/text"
	"github.com/sandmill/sandmill/guest-sdk/go/resources"
)

const name = "SqlError"

var codes = []string{"denied", "invalid", "database", "too-large", "timeout", "unavailable"}

// DatabaseError is what the database said.
type DatabaseError struct {
	// Code is the SQLSTATE of PostgreSQL, the extended result code of SQLite.
	Code       string `json:"code"`
	Message    string `json:"message"`
	Detail     string `json:"detail,omitempty"`
	Hint       string `json:"hint,omitempty"`
	Constraint string `json:"constraint,omitempty"`
	// Position is the character of the statement, from 1.
	Position uint32 `json:"position,omitempty"`
}

// Session is a database or a transaction.
type Session interface {
	query(statement, parameters string) (string, error)
	execute(statement, parameters string) (uint64, error)
}

// Database is the database of a resource.
type Database struct{ handle uint32 }

// Open opens the database of the resource at a path.
func Open(path string) (*Database, error) {
	resource, err := resources.Open(path)
	if err != nil {
		return nil, err
	}
	return On(resource), nil
}

// On is the database of a resource.
func On(resource *resources.Resource) *Database {
	return &Database{resource.Handle}
}

// Transaction is several statements, all or none.
type Transaction struct{ handle uint32 }

// Query is one statement for its rows; parameters are bound, never pasted: $1, $2, … . At most 100,000 rows and 16 MiB. Integers beyond
// ±(2^53 - 1) and all of numeric are texts of their digits, times are RFC 3339, bytes base64.
func Query[Row any](on Session, statement string, parameters ...any) ([]Row, error) {
	encoded, err := encode(parameters)
	if err != nil {
		return nil, err
	}
	rows, err := on.query(text.Utf8(statement), encoded)
	if err != nil {
		return nil, err
	}
	return fault.Decode[[]Row](rows)
}

// Execute is one statement for the number of rows that were written.
func Execute(on Session, statement string, parameters ...any) (uint64, error) {
	encoded, err := encode(parameters)
	if err != nil {
		return 0, err
	}
	return on.execute(text.Utf8(statement), encoded)
}

// encode makes the JSON array: an integer that JSON numbers cannot keep goes as the text of its digits.
func encode(parameters []any) (string, error) {
	const exact = 1<<53 - 1
	bound := make([]any, len(parameters))
	for i, parameter := range parameters {
		bound[i] = parameter
		switch number := parameter.(type) {
		case int64:
			if number > exact || number < -exact {
				bound[i] = fmt.Sprint(number)
			}
		case uint64:
			if number > exact {
				bound[i] = fmt.Sprint(number)
			}
		case *big.Int:
			bound[i] = number.String()
		case json.Number:
			bound[i] = number.String()
		}
	}
	return fault.Encode(name, bound)
}

func (d *Database) query(statement, parameters string) (string, error) {
	return hostQuery(d.handle, statement, parameters)
}

func (d *Database) execute(statement, parameters string) (uint64, error) {
	return hostExecute(d.handle, statement, parameters)
}

func (t *Transaction) query(statement, parameters string) (string, error) {
	return hostTransactionQuery(t.handle, statement, parameters)
}

func (t *Transaction) execute(statement, parameters string) (uint64, error) {
	return hostTransactionExecute(t.handle, statement, parameters)
}

// Transaction commits what work did once it has returned nil, and undoes it if it returns an error or panics.
func (d *Database) Transaction(work func(transaction *Transaction) error) error {
	handle, err := hostBegin(d.handle)
	if err != nil {
		return err
	}
	// One that is dropped without a commit is undone.
	defer hostDrop(handle)
	if err := work(&Transaction{handle}); err != nil {
		return err
	}
	return hostCommit(handle)
}
