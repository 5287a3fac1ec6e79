package main

import (
	"testing"

	"github.com/sandmill/sandmill/guest-sdk/go/sandmilltest"
)

func TestHello(t *testing.T) {
	result, err := sandmilltest.Run(`{"name":"bob"}`)
	if err != nil || result.JSON != `{"hello":"bob","n":[2,4,6]}` {
		t.Fatal(result.JSON, err)
	}
	required := sandmilltest.Schema(t)["required"].([]any)
	if len(required) != 1 || required[0] != "name" {
		t.Fatal(required)
	}
}
