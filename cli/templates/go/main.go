// Greets somebody.
package main

import (
	"fmt"
	"strings"

	"github.com/sandmill/sandmill/guest-sdk/go"
	"github.com/sandmill/sandmill/guest-sdk/go/log"
)

type Args struct {
	Name  string `json:"name" desc:"Whom to greet"`
	Times int    `json:"times" default:"1" desc:"How often"`
}

type Result struct {
	Greeting string `json:"greeting"`
}

func init() {
	sandmill.Main(func(args Args) (Result, error) {
		log.Info("greeting", log.Fields{"name": args.Name})
		greetings := []string{}
		for range args.Times {
			greetings = append(greetings, fmt.Sprintf("Hello, %s!", args.Name))
		}
		return Result{strings.Join(greetings, " ")}, nil
	})
}

func main() {}
