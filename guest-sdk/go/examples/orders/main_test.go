package main

import (
	"errors"
	"testing"

	"github.com/sandmill/sandmill/guest-sdk/go"
	"github.com/sandmill/sandmill/guest-sdk/go/sandmilltest"
)

func TestOrders(t *testing.T) {
	host := sandmilltest.New(t)
	host.Resources["f/demo/broker"] = sandmilltest.Resource{Kind: "nats"}
	if _, err := sandmilltest.Run(`{"id":"7","total":3}`); !errors.Is(err, &sandmill.Error{Name: "PublishError", Code: "unavailable"}) {
		t.Fatal(err)
	}
	host.Publish = func(sandmilltest.Message) (string, error) { return `{"sequence":5}`, nil }
	result, err := sandmilltest.Run(`{"id":"7","total":3}`)
	if err != nil || result.JSON != "5" {
		t.Fatal(result.JSON, err)
	}
	if len(host.Messages) != 1 || host.Messages[0].ID != "7" || string(host.Messages[0].Payload) != `{"id":"7","total":3}` {
		t.Fatal(host.Messages)
	}
}
