// Books goods into a warehouse and out of it: a database, objects, a variable and a resource, all on one server in the tests of this SDK.
package main

import (
	"encoding/json"

	"github.com/sandmill/sandmill/guest-sdk/go"
	"github.com/sandmill/sandmill/guest-sdk/go/blob"
	"github.com/sandmill/sandmill/guest-sdk/go/resources"
	"github.com/sandmill/sandmill/guest-sdk/go/sql"
	"github.com/sandmill/sandmill/guest-sdk/go/variables"
)

const (
	table    = "CREATE TABLE IF NOT EXISTS stock (item TEXT PRIMARY KEY, count INTEGER NOT NULL)"
	receipts = "receipts/"
)

type Args struct {
	Item  string `json:"item" desc:"What is booked, e.g. nails"`
	Count int64  `json:"count" desc:"How much comes in; less than nothing goes out"`
}

type Stock struct {
	Count int64 `json:"count"`
}

type Supplier struct {
	Origin string `json:"origin"`
}

type Receipt struct {
	Item     string `json:"item"`
	Count    int64  `json:"count"`
	Currency string `json:"currency"`
	Supplier string `json:"supplier"`
}

type Booked struct {
	Receipt Receipt `json:"receipt"`
	// Before is how much there was at the last receipt.
	Before *int64 `json:"before"`
	// Receipts are the keys of all of them.
	Receipts []string `json:"receipts"`
}

// stock is how much there is now. A booking that would leave less than nothing is undone.
func stock(args Args) (int64, error) {
	db, err := sql.Open("f/demo/warehouse")
	if err != nil {
		return 0, err
	}
	if _, err := sql.Execute(db, table); err != nil {
		return 0, err
	}
	var left int64
	err = db.Transaction(func(tx *sql.Transaction) error {
		if _, err := sql.Execute(tx, "INSERT INTO stock VALUES ($1, 0) ON CONFLICT DO NOTHING", args.Item); err != nil {
			return err
		}
		if _, err := sql.Execute(tx, "UPDATE stock SET count = count + $1 WHERE item = $2", args.Count, args.Item); err != nil {
			return err
		}
		rows, err := sql.Query[Stock](tx, "SELECT count FROM stock WHERE item = $1", args.Item)
		if err != nil {
			return err
		}
		if len(rows) != 1 || rows[0].Count < 0 {
			return &sandmill.Error{Name: "StockError", Message: "there is not so much of " + args.Item}
		}
		left = rows[0].Count
		return nil
	})
	return left, err
}

// keep replaces the receipt before, whose count it returns. Of what is not there any more none is kept.
func keep(receipt Receipt) (*int64, error) {
	key := receipts + receipt.Item + ".json"
	text, err := blob.Get(key)
	if err != nil {
		return nil, err
	}
	var before *int64
	if text != nil {
		var last Receipt
		if err := json.Unmarshal(text, &last); err != nil {
			return nil, err
		}
		before = &last.Count
	}
	if receipt.Count == 0 {
		return before, blob.Delete(key)
	}
	if text, err = json.Marshal(receipt); err != nil {
		return nil, err
	}
	_, err = blob.Put(key, text, "application/json")
	return before, err
}

func book(args Args) (Booked, error) {
	supplier, err := resources.Open("f/demo/supplier")
	if err != nil {
		return Booked{}, err
	}
	fields, err := resources.Fields[Supplier](supplier)
	if err != nil {
		return Booked{}, err
	}
	currency, err := variables.Get("f/demo/currency")
	if err != nil {
		return Booked{}, err
	}
	left, err := stock(args)
	if err != nil {
		return Booked{}, err
	}
	booked := Booked{Receipt: Receipt{args.Item, left, currency, fields.Origin}, Receipts: []string{}}
	if booked.Before, err = keep(booked.Receipt); err != nil {
		return Booked{}, err
	}
	for object, err := range blob.List(receipts) {
		if err != nil {
			return Booked{}, err
		}
		booked.Receipts = append(booked.Receipts, object.Key)
	}
	return booked, nil
}

func init() {
	sandmill.Main(book)
}

func main() {}
