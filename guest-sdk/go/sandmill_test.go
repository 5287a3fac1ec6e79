package sandmill_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/sandmill/sandmill/guest-sdk/go"
	"github.com/sandmill/sandmill/guest-sdk/go/internal/fault"
	"github.com/sandmill/sandmill/guest-sdk/go/internal/script"
	"github.com/sandmill/sandmill/guest-sdk/go/sandmilltest"
)

type tree struct {
	Value    int    `json:"value"`
	Children []tree `json:"children,omitempty"`
}

type options struct {
	Loud  bool   `json:"loud" default:"true"`
	Color string `json:"color" enum:"red,blue" default:"red"`
}

type embedded struct {
	Promoted string `json:"promoted"`
}

type args struct {
	embedded
	Name    string            `json:"name" desc:"Whom to greet"`
	Count   int               `json:"count" default:"3"`
	Small   uint8             `json:"small,omitempty"`
	Ratio   *float64          `json:"ratio"`
	At      time.Time         `json:"at,omitzero"`
	Data    []byte            `json:"data,omitempty"`
	Labels  map[string]string `json:"labels,omitempty"`
	Any     any               `json:"any,omitempty"`
	Options options           `json:"options,omitzero"`
	Tree    tree              `json:"tree,omitzero"`
	Pair    [2]int            `json:"pair,omitzero"`
	hidden  int
	Skipped int `json:"-"`
}

func register[A, R any](t *testing.T, run func(A) (R, error)) {
	script.Reset()
	sandmill.Main(run)
	t.Cleanup(script.Reset)
}

func TestSchema(t *testing.T) {
	register(t, func(a args) (args, error) { return a, nil })
	var want any
	text := `{"$schema":"https://json-schema.org/draft/2020-12/schema","type":"object","required":["promoted","name"],"properties":{
		"promoted":{"type":"string"},
		"name":{"type":"string","description":"Whom to greet"},
		"count":{"type":"integer","default":3},
		"small":{"type":"integer","minimum":0,"maximum":255},
		"ratio":{"anyOf":[{"type":"number"},{"type":"null"}]},
		"at":{"type":"string","format":"date-time"},
		"data":{"type":"string","contentEncoding":"base64"},
		"labels":{"type":"object","additionalProperties":{"type":"string"}},
		"any":{},
		"options":{"type":"object","properties":{"loud":{"type":"boolean","default":true},"color":{"type":"string","enum":["red","blue"],"default":"red"}}},
		"tree":{"$ref":"#/$defs/sandmill_test.tree"},
		"pair":{"type":"array","items":{"type":"integer"},"minItems":2,"maxItems":2}
	},"$defs":{"sandmill_test.tree":{"type":"object","required":["value"],"properties":{
		"value":{"type":"integer"},"children":{"type":"array","items":{"$ref":"#/$defs/sandmill_test.tree"}}}}}}`
	if err := json.Unmarshal([]byte(text), &want); err != nil {
		t.Fatal(err)
	}
	if got := sandmilltest.Schema(t); !reflect.DeepEqual(any(got), want) {
		shown, _ := json.MarshalIndent(got, "", " ")
		t.Fatal(string(shown))
	}
}

func TestPropertiesKeepTheirOrder(t *testing.T) {
	register(t, func(a struct{ Zebra, Apple int }) (any, error) { return nil, nil })
	text := script.Registered().Describe()
	if strings.Index(text, "Zebra") > strings.Index(text, "Apple") {
		t.Fatal(text)
	}
}

func TestDefaults(t *testing.T) {
	register(t, func(a args) (any, error) {
		return []any{a.Count, a.Options.Loud, a.Options.Color, a.Ratio}, nil
	})
	for given, want := range map[string]string{
		`{}`: `[3,true,"red",null]`,
		`{"count":0,"options":{"loud":false},"ratio":0.5}`: `[0,false,"red",0.5]`,
	} {
		if got, err := sandmilltest.Run(given); err != nil || got.JSON != want {
			t.Fatal(given, got.JSON, err)
		}
	}
}

func TestResults(t *testing.T) {
	register(t, func(a struct{ Kind string }) (any, error) {
		switch a.Kind {
		case "text":
			return "<a> & ä", nil
		case "bytes":
			return sandmill.Bytes{ContentType: "image/png", Data: []byte{1, 2}}, nil
		case "raw":
			return json.RawMessage(`{"a": 1}`), nil
		case "none":
			return nil, nil
		}
		return func() {}, nil
	})
	for kind, want := range map[string]string{"text": `"<a> & ä"`, "raw": `{"a":1}`, "none": "null"} {
		if got, err := sandmilltest.Run(fmt.Sprintf(`{"kind":%q}`, kind)); err != nil || got.JSON != want {
			t.Fatal(kind, got.JSON, err)
		}
	}
	if got, err := sandmilltest.Run(`{"kind":"bytes"}`); err != nil || !got.Binary || got.ContentType != "image/png" || len(got.Data) != 2 {
		t.Fatal(got, err)
	}
	if _, err := sandmilltest.Run(`{"kind":"no JSON"}`); err == nil {
		t.Fatal("a function is no JSON")
	}
}

type refusal struct{ reason string }

func (r *refusal) Error() string { return r.reason }

func TestErrors(t *testing.T) {
	own := &sandmill.Error{Name: "PaymentError", Message: "refused", Details: map[string]int{"order": 7}}
	call := &sandmill.Error{Name: "StateError", Code: "too-large", Message: "big"}
	for _, c := range []struct {
		err  error
		want fault.Record
	}{
		{own, fault.Record{Name: "PaymentError", Message: "refused", Details: `{"order":7}`}},
		{fmt.Errorf("charging: %w", own), fault.Record{Name: "PaymentError", Message: "charging: refused", Details: `{"order":7}`}},
		{call, fault.Record{Name: "StateError", Message: "big", Details: `{"code":"too-large"}`}},
		{errors.New("plain"), fault.Record{Name: "Error", Message: "plain"}},
		{&refusal{"no"}, fault.Record{Name: "refusal", Message: "no"}},
	} {
		if got := fault.RecordOf(c.err); got != c.want {
			t.Fatal(got, c.want)
		}
	}
	if !errors.Is(fmt.Errorf("x: %w", call), &sandmill.Error{Name: "StateError", Code: "too-large"}) || errors.Is(call, &sandmill.Error{Name: "StateError", Code: "unavailable"}) {
		t.Fatal("errors.Is asks for name and code")
	}
}

func TestPanics(t *testing.T) {
	register(t, func(a struct{}) (any, error) { panic("oh") })
	_, err := sandmilltest.Run(`{}`)
	if record := fault.RecordOf(err); record.Name != "Panic" || record.Message != "oh" || record.Stack == "" {
		t.Fatal(record)
	}
}
