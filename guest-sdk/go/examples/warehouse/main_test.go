package main

import (
	"errors"
	"fmt"
	"testing"

	"github.com/sandmill/sandmill/guest-sdk/go"
	"github.com/sandmill/sandmill/guest-sdk/go/sandmilltest"
)

func TestWarehouse(t *testing.T) {
	host := sandmilltest.New(t)
	host.Resources["f/demo/warehouse"] = sandmilltest.Resource{Kind: "sqlite"}
	host.Resources["f/demo/supplier"] = sandmilltest.Resource{Kind: "http", Fields: `{"origin":"https://supplier.example.com"}`}
	host.Variables["f/demo/currency"] = "EUR"
	count := 0
	host.Query = func(_, _, _ string) (string, error) { return fmt.Sprintf(`[{"count":%d}]`, count), nil }
	host.Execute = func(_, _, _ string) (uint64, error) { return 1, nil }
	for _, step := range []struct {
		count            int
		before, receipts string
	}{{5, "null", `["receipts/nails.json"]`}, {3, "5", `["receipts/nails.json"]`}, {0, "3", "[]"}} {
		count = step.count
		want := fmt.Sprintf(`{"receipt":{"item":"nails","count":%d,"currency":"EUR","supplier":"https://supplier.example.com"},"before":%s,"receipts":%s}`,
			step.count, step.before, step.receipts)
		result, err := sandmilltest.Run(`{"item":"nails","count":1}`)
		if err != nil || result.JSON != want {
			t.Fatal(result.JSON, err)
		}
	}
	count = -1
	if _, err := sandmilltest.Run(`{"item":"nails","count":-1}`); !errors.Is(err, &sandmill.Error{Name: "StockError"}) {
		t.Fatal(err)
	}
}
