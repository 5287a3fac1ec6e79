// Tells a broker of an order, which keeps it: the example of the read-me, which the tests of this SDK also run on a server.
package main

import (
	"encoding/json"

	"github.com/sandmill/sandmill/guest-sdk/go"
	"github.com/sandmill/sandmill/guest-sdk/go/publish"
	"github.com/sandmill/sandmill/guest-sdk/go/resources"
)

type Args struct {
	ID    string  `json:"id"`
	Total float64 `json:"total"`
}

type Said struct {
	Sequence uint64 `json:"sequence"`
}

func init() {
	sandmill.Main(func(order Args) (uint64, error) {
		broker, err := resources.Open("f/demo/broker")
		if err != nil {
			return 0, err
		}
		text, err := json.Marshal(order)
		if err != nil {
			return 0, err
		}
		headers := [][2]string{{"x-shop", "eu"}}
		said, err := publish.Send[Said](broker, publish.Message{To: "orders.new", Payload: text, Headers: headers, ID: order.ID, Kept: true})
		return said.Sequence, err
	})
}

func main() {}
