package sandmill_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// Each program on the page has a comment behind it, unseen there, that says what it is run with and what it gives.
var example = regexp.MustCompile("(?s)```go\n(.*?)```\n<!-- (\\w+) (.*?) -->")

const driver = `package main

import (
	"fmt"
	"testing"

	"github.com/sandmill/sandmill/guest-sdk/go/sandmilltest"
)

func TestExample(t *testing.T) {
	host := sandmilltest.New(t)
	host.Variables["f/demo/region"] = "north"
	host.Resources["f/demo/shop"] = sandmilltest.Resource{Kind: "shop", Fields: ` + "`{\"name\":\"Shop\"}`" + `}
	host.Resources["f/demo/warehouse"] = sandmilltest.Resource{Kind: "postgresql"}
	host.Resources["f/demo/broker"] = sandmilltest.Resource{Kind: "nats"}
	host.Publish = func(message sandmilltest.Message) (string, error) {
		return fmt.Sprintf(` + "`{\"sequence\":%d}`" + `, len(message.Payload)), nil
	}
	host.Query = func(_, _, _ string) (string, error) { return ` + "`[{\"name\":\"a\",\"total\":\"1.50\"}]`" + `, nil }
	host.Execute = func(_, _, _ string) (uint64, error) { return 1, nil }
	args := ` + "`ARGS`" + `
	if KIND == "event" {
		made, err := sandmilltest.Preprocess(args)
		if err != nil || made == nil {
			t.Fatal(made, err)
		}
		args = *made
	}
	sandmilltest.Schema(t)
	result, err := sandmilltest.Run(args)
	got := result.JSON
	if err != nil {
		got = err.Error()
	}
	if got != ` + "`WANT`" + ` {
		t.Fatal(got)
	}
}
`

func TestReadme(t *testing.T) {
	page, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	examples := example.FindAllStringSubmatch(string(page), -1)
	if programs := strings.Count(string(page), "```go\n"); len(examples) != programs || programs < 5 {
		t.Fatalf("%d programs, %d with what they give", programs, len(examples))
	}
	module, err := filepath.Abs(".")
	if err != nil {
		t.Fatal(err)
	}
	for _, found := range examples {
		t.Run(found[2]+" "+found[3], func(t *testing.T) { runExample(t, module, found[1], found[2], found[3]) })
	}
}

func runExample(t *testing.T, module, program, kind, what string) {
	folder := t.TempDir()
	write := func(name, text string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(folder, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	const path = "github.com/sandmill/sandmill/guest-sdk/go"
	write("go.mod", "module example\n\ngo 1.26\n\nrequire "+path+" v0.0.0\n\nreplace "+path+" => "+module+"\n")
	if kind == "test" {
		script, err := os.ReadFile(filepath.Join(what, "main.go"))
		if err != nil {
			t.Fatal(err)
		}
		write("main.go", string(script))
		write("main_test.go", program)
	} else {
		args, want, found := strings.Cut(what, " gives ")
		if !found {
			var failure string
			args, failure, _ = strings.Cut(what, " fails ")
			_, want, _ = strings.Cut(failure, ": ")
		}
		write("main.go", program)
		write("main_test.go", strings.NewReplacer("ARGS", args, "KIND", `"`+kind+`"`, "WANT", want).Replace(driver))
	}
	command(t, folder, nil, "go", "vet", ".")
	command(t, folder, nil, "go", "test", ".")
	command(t, folder, []string{"GOOS=wasip1", "GOARCH=wasm"}, "go", "build", "-buildmode=c-shared", "-ldflags=-s -w", "-o", "script.core.wasm", ".")
}

func command(t *testing.T, folder string, environment []string, name string, arguments ...string) {
	t.Helper()
	run := exec.Command(name, arguments...)
	run.Dir = folder
	run.Env = append(append(os.Environ(), "GOFLAGS=-mod=mod", "GOWORK=off"), environment...)
	if said, err := run.CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", strings.Join(run.Args, " "), err, said)
	}
}
