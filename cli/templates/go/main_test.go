package main

import (
	"testing"

	"github.com/sandmill/sandmill/guest-sdk/go/sandmilltest"
)

func TestHello(t *testing.T) {
	result, err := sandmilltest.Run(`{"name":"Ann"}`)
	if err != nil || result.JSON != `{"greeting":"Hello, Ann!"}` {
		t.Fatal(result.JSON, err)
	}
}
