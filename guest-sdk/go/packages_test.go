package sandmill_test

import (
	"errors"
	"slices"
	"testing"

	"github.com/sandmill/sandmill/guest-sdk/go"
	"github.com/sandmill/sandmill/guest-sdk/go/blob"
	"github.com/sandmill/sandmill/guest-sdk/go/log"
	"github.com/sandmill/sandmill/guest-sdk/go/output"
	"github.com/sandmill/sandmill/guest-sdk/go/publish"
	"github.com/sandmill/sandmill/guest-sdk/go/resources"
	"github.com/sandmill/sandmill/guest-sdk/go/runcontext"
	"github.com/sandmill/sandmill/guest-sdk/go/runs"
	"github.com/sandmill/sandmill/guest-sdk/go/sandmilltest"
	"github.com/sandmill/sandmill/guest-sdk/go/sql"
	"github.com/sandmill/sandmill/guest-sdk/go/state"
	"github.com/sandmill/sandmill/guest-sdk/go/variables"
)

func must[T any](t *testing.T) func(T, error) T {
	return func(value T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return value
	}
}

func TestState(t *testing.T) {
	sandmilltest.New(t)
	if _, found, err := state.Get[int]("a"); found || err != nil {
		t.Fatal(found, err)
	}
	swaps := []bool{
		must[bool](t)(state.CompareAndSwap("a", state.Absent, 1)), must[bool](t)(state.CompareAndSwap("a", state.Absent, 2)),
		must[bool](t)(state.CompareAndSwap("a", 1, map[string]int{"x": 1, "y": 2})), must[bool](t)(state.CompareAndSwap("a", map[string]int{"y": 2, "x": 1}, state.Absent)),
	}
	if !slices.Equal(swaps, []bool{true, false, true, true}) {
		t.Fatal(swaps)
	}
	for _, key := range []string{"k/2", "k/1", "other"} {
		if err := state.Set(key, key); err != nil {
			t.Fatal(err)
		}
	}
	var keys []string
	for key, err := range state.Keys("k/") {
		keys = append(keys, must[string](t)(key, err))
	}
	if !slices.Equal(keys, []string{"k/1", "k/2"}) {
		t.Fatal(keys)
	}
	if err := state.Set("", 1); !errors.Is(err, &sandmill.Error{Name: "StateError", Code: "invalid-key"}) {
		t.Fatal(err)
	}
	if err := state.Set("f", func() {}); err == nil {
		t.Fatal("a function is no JSON")
	}
}

func TestLogAndOutput(t *testing.T) {
	host := sandmilltest.New(t)
	log.Info("plain")
	log.Warn("fields", log.Fields{"n": 1}, log.Fields{"odd": func() {}})
	output.Progress(50, "half")
	output.Write([]byte("chunk"))
	if len(host.Log) != 2 || host.Log[0].Fields != "" || host.Log[1].Level != "warn" || host.Steps[0].Percent != 50 || string(host.Written) != "chunk" {
		t.Fatal(host.Log, host.Steps, host.Written)
	}
}

func TestResourcesAndDatabases(t *testing.T) {
	host := sandmilltest.New(t)
	host.Variables["f/demo/region"] = "north"
	host.Resources["f/demo/db"] = sandmilltest.Resource{Kind: "sqlite", Fields: `{"file":"x"}`}
	var bound []string
	host.Query = func(_, _, parameters string) (string, error) {
		bound = append(bound, parameters)
		return `[{"n":1}]`, nil
	}
	host.Execute = func(_, _, _ string) (uint64, error) { return 2, nil }
	if region := must[string](t)(variables.Get("f/demo/region")); region != "north" {
		t.Fatal(region)
	}
	if _, err := variables.Get("f/demo/none"); !errors.Is(err, &sandmill.Error{Name: "VariableError", Code: "not-found"}) {
		t.Fatal(err)
	}
	db := must[*resources.Resource](t)(resources.Open("f/demo/db"))
	if fields := must[map[string]string](t)(resources.Fields[map[string]string](db)); fields["file"] != "x" || db.Kind() != "sqlite" || db.Path() != "f/demo/db" {
		t.Fatal(fields)
	}
	rows := must[[]map[string]int](t)(sql.Query[map[string]int](sql.On(db), "SELECT 1", int64(1)<<60, []byte{1}, nil, "a"))
	if rows[0]["n"] != 1 || bound[0] != `["1152921504606846976","AQ==",null,"a"]` {
		t.Fatal(rows, bound)
	}
	err := sql.On(db).Transaction(func(tx *sql.Transaction) error {
		_, err := sql.Execute(tx, "DELETE FROM t")
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestMessages(t *testing.T) {
	host := sandmilltest.New(t)
	host.Resources["f/demo/broker"] = sandmilltest.Resource{Kind: "nats"}
	broker := must[*resources.Resource](t)(resources.Open("f/demo/broker"))
	message := publish.Message{To: "orders.new", Payload: []byte("{}"), Headers: [][2]string{{"x-shop", "e\xffu"}}, ID: "7", Kept: true}
	if _, err := publish.Send[map[string]int](broker, message); !errors.Is(err, &sandmill.Error{Name: "PublishError", Code: "unavailable"}) {
		t.Fatal(err)
	}
	host.Publish = func(message sandmilltest.Message) (string, error) {
		if message.To == "orders" {
			return "", &sandmill.Error{Name: "PublishError", Code: "invalid", Message: "nobody keeps it"}
		}
		return `{"sequence":1}`, nil
	}
	if said := must[map[string]int](t)(publish.Send[map[string]int](broker, message)); said["sequence"] != 1 {
		t.Fatal(said)
	}
	message.To = "orders"
	if _, err := publish.Send[any](broker, message); !errors.Is(err, &sandmill.Error{Name: "PublishError", Code: "invalid"}) {
		t.Fatal(err)
	}
	if len(host.Messages) != 1 {
		t.Fatal(host.Messages)
	}
	sent := host.Messages[0]
	if sent.Path != "f/demo/broker" || sent.To != "orders.new" || string(sent.Payload) != "{}" || sent.Headers[0][1] != "e\ufffdu" || sent.ID != "7" || !sent.Kept {
		t.Fatal(sent)
	}
}

func TestRunsAndObjects(t *testing.T) {
	host := sandmilltest.New(t)
	host.Scripts["f/demo/double"] = func(args string) (string, error) { return args, nil }
	host.Scripts["f/demo/fails"] = func(string) (string, error) { return "", &sandmill.Error{Name: "Odd", Message: "no"} }
	run := must[string](t)(runs.Start("f/demo/double", map[string]int{"n": 2}, runs.Options{}))
	value := must[map[string]int](t)(runs.Decode[map[string]int](must[*runs.Result](t)(runs.Wait(run))))
	if value["n"] != 2 {
		t.Fatal(value)
	}
	var failed *runs.ChildError
	if _, err := runs.Wait(must[string](t)(runs.Start("f/demo/fails", nil, runs.Options{}))); !errors.As(err, &failed) || failed.Name != "Odd" {
		t.Fatal(err)
	}
	must[blob.Info](t)(blob.Put("a/b", []byte("data"), "text/plain"))
	if data := must[[]byte](t)(blob.Get("a/b")); string(data) != "data" {
		t.Fatal(string(data))
	}
	if none := must[[]byte](t)(blob.Get("a/none")); none != nil {
		t.Fatal(none)
	}
	for info, err := range blob.List("a/") {
		if must[blob.Info](t)(info, err).Size != 4 {
			t.Fatal(info)
		}
	}
	if runcontext.Get().Attempt != 1 {
		t.Fatal(runcontext.Get())
	}
}
