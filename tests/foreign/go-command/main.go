// Command go-command reads JSON from stdin and prints JSON: ordinary Go that knows nothing of its host.
package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"runtime"
	"sort"
	"strings"
)

type arguments struct {
	Mode   string      `json:"mode"`
	Words  []string    `json:"words"`
	Number json.Number `json:"number"`
	MiB    int         `json:"mib"`
}

type answer struct {
	Language string         `json:"language"`
	Runtime  string         `json:"runtime"`
	Counts   map[string]int `json:"counts"`
	Longest  string         `json:"longest"`
	Number   json.Number    `json:"number,omitempty"`
	Sum      uint64         `json:"sum,omitempty"`
}

func main() {
	text, err := io.ReadAll(os.Stdin)
	if err != nil {
		fail(err)
	}
	var args arguments
	if err := json.Unmarshal(text, &args); err != nil {
		fail(err)
	}
	switch args.Mode {
	case "fail":
		fail(fmt.Errorf("asked to fail"))
	case "exit3":
		os.Exit(3)
	case "panic":
		panic("asked to panic")
	case "text":
		fmt.Println("hello from go")
		return
	}
	out := answer{Language: "go", Runtime: runtime.GOOS + "/" + runtime.GOARCH, Counts: map[string]int{}, Number: args.Number}
	// By goroutines and a channel, which a program on one thread has too.
	words := make(chan string)
	go func() {
		defer close(words)
		for _, word := range args.Words {
			words <- strings.ToLower(word)
		}
	}()
	for word := range words {
		out.Counts[word]++
	}
	keys := make([]string, 0, len(out.Counts))
	for word := range out.Counts {
		keys = append(keys, word)
	}
	sort.Slice(keys, func(a, b int) bool {
		return len(keys[a]) > len(keys[b]) || len(keys[a]) == len(keys[b]) && keys[a] < keys[b]
	})
	if len(keys) > 0 {
		out.Longest = keys[0]
	}
	out.Sum = fill(args.MiB)
	if err := json.NewEncoder(os.Stdout).Encode(out); err != nil {
		fail(err)
	}
	fmt.Fprintln(os.Stderr, "done")
}

// fill touches that much memory. From 4 MiB on the garbage collector runs and finds what the adapter wrote (see the README here).
func fill(mib int) uint64 {
	var sum uint64
	held := make([][]byte, 0, mib)
	for i := 0; i < mib; i++ {
		block := make([]byte, 1<<20)
		for at := range block {
			block[at] = byte(at + i)
		}
		held = append(held, block)
	}
	for _, block := range held {
		for _, value := range block {
			sum += uint64(value)
		}
	}
	return sum
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, "go-command:", err)
	os.Exit(1)
}
