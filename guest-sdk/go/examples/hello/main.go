// Greets, and counts in twos.
package main

import "github.com/sandmill/sandmill/guest-sdk/go"

type Args struct {
	Name  string `json:"name" desc:"Whom to greet"`
	Count int    `json:"count" default:"3" desc:"How many numbers"`
}

type Result struct {
	Hello string `json:"hello"`
	N     []int  `json:"n"`
}

func init() {
	sandmill.Main(func(args Args) (Result, error) {
		result := Result{Hello: args.Name, N: []int{}}
		for i := range args.Count {
			result.N = append(result.N, 2*(i+1))
		}
		return result, nil
	})
}

func main() {}
