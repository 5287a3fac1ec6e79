package main

import (
	"testing"

	"github.com/sandmill/sandmill/guest-sdk/go/sandmilltest"
)

func TestVisits(t *testing.T) {
	host := sandmilltest.New(t)
	for _, want := range []string{`{"visits":1}`, `{"visits":2}`} {
		result, err := sandmilltest.Run(`{"name":"bob"}`)
		if err != nil || result.JSON != want {
			t.Fatal(result.JSON, err)
		}
	}
	if host.State["visits/bob"] != "2" || len(host.Log) != 2 || host.Log[1].Fields != `{"name":"bob","visits":2}` {
		t.Fatal(host.State, host.Log)
	}
}
