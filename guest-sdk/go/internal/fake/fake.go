// Package fake is a host in memory, for tests of scripts as programs of this machine. The package sandmilltest gives it to them.
package fake

import (
	"encoding/json"
	"reflect"
	"sort"
	"strings"
	"time"

	"github.com/sandmill/sandmill/guest-sdk/go/internal/fault"
	"github.com/sandmill/sandmill/guest-sdk/go/internal/script"
)

// Line is a line of the log.
type Line struct {
	Level, Message string
	// Fields is the text of a JSON object, or empty.
	Fields string
}

// Step is what output.Progress said.
type Step struct {
	Percent float64
	Text    string
}

// Resource is one that a test provides.
type Resource struct {
	Path, Kind string
	// Fields is the text of a JSON object.
	Fields string
}

// Object is one that is kept.
type Object struct {
	Key, ContentType string
	Data             []byte
	Modified         time.Time
}

// Message is one that was sent over the resource at a path.
type Message struct {
	Path, To string
	Payload  []byte
	// Headers are names and values.
	Headers [][2]string
	ID      string
	Kept    bool
}

// Child is a run that was started.
type Child struct {
	Path, Args string
	Output     script.Output
	Err        error
}

// Record is the child's error.
func (c *Child) Record() fault.Record { return fault.RecordOf(c.Err) }

// Memory is all that the host knows and was told.
type Memory struct {
	// State is JSON under keys.
	State map[string]string
	Log   []Line
	Steps []Step
	// Written is the output stream.
	Written   []byte
	Variables map[string]string
	Resources map[string]Resource
	Blobs     map[string]Object
	// Query and Execute are asked instead of a database.
	Query   func(path, statement, parameters string) (rows string, err error)
	Execute func(path, statement, parameters string) (written uint64, err error)
	// Publish is asked instead of a broker, for the JSON of what it says.
	Publish  func(message Message) (said string, err error)
	Messages []Message
	// Scripts are run instead of others' scripts: JSON to JSON.
	Scripts map[string]func(args string) (string, error)
	Started []Child
	Run     struct {
		ID, Script, RunAs, TriggerKind, TriggerPath string
		Attempt                                     int
		Deadline                                    time.Time
		Payload                                     []byte
	}
	opened  []string
	reading map[uint32]string
}

// Host is the one that the packages ask.
var Host = New()

// New is a host that knows nothing.
func New() *Memory {
	return &Memory{
		State: map[string]string{}, Variables: map[string]string{}, Resources: map[string]Resource{}, Blobs: map[string]Object{},
		Scripts: map[string]func(string) (string, error){}, reading: map[uint32]string{},
	}
}

// Keys are those of a map that begin with a prefix, after a key, in the order of their bytes.
func Keys[V any](of map[string]V, prefix string, after *string, limit int) []string {
	keys := []string{}
	for key := range of {
		if strings.HasPrefix(key, prefix) && (after == nil || key > *after) {
			keys = append(keys, key)
		}
	}
	sort.Strings(keys)
	return keys[:min(limit, len(keys))]
}

func (m *Memory) StateGet(key string) (*string, error) {
	if err := checkKey(key); err != nil {
		return nil, err
	}
	value, found := m.State[key]
	if !found {
		return nil, nil
	}
	return &value, nil
}

func (m *Memory) StateSet(key, value string) error {
	if err := checkKey(key); err != nil {
		return err
	}
	m.State[key] = value
	return nil
}

func (m *Memory) StateDelete(key string) error {
	delete(m.State, key)
	return checkKey(key)
}

func (m *Memory) StateSwap(key string, before, after *string) (bool, error) {
	value, err := m.StateGet(key)
	if err != nil || !same(value, before) {
		return false, err
	}
	if after == nil {
		return true, m.StateDelete(key)
	}
	return true, m.StateSet(key, *after)
}

func (m *Memory) StateList(prefix string, after *string, limit int) ([]string, error) {
	return Keys(m.State, prefix, after, limit), nil
}

func checkKey(key string) error {
	if key == "" || len(key) > 512 || strings.ContainsFunc(key, func(r rune) bool { return r < ' ' || r == 0x7f }) {
		return &fault.Error{Name: "StateError", Code: "invalid-key", Message: "a key has 1 to 512 bytes and no control characters"}
	}
	return nil
}

// same compares as JSON values; numbers as float64, which the host compares exactly.
func same(one, other *string) bool {
	if one == nil || other == nil {
		return one == other
	}
	var a, b any
	if json.Unmarshal([]byte(*one), &a) != nil || json.Unmarshal([]byte(*other), &b) != nil {
		return false
	}
	return reflect.DeepEqual(a, b)
}

func (m *Memory) LogWrite(level, message string, fields *string) {
	line := Line{Level: level, Message: message}
	if fields != nil {
		line.Fields = *fields
	}
	m.Log = append(m.Log, line)
}

func (m *Memory) Progress(percent float64, text string) {
	m.Steps = append(m.Steps, Step{percent, text})
}

func (m *Memory) Write(chunk []byte) { m.Written = append(m.Written, chunk...) }

func missing(name, path string) error {
	return &fault.Error{Name: name, Code: "not-found", Message: "there is nothing at " + path}
}

func (m *Memory) Variable(path string) (string, error) {
	value, found := m.Variables[path]
	if !found {
		return "", missing("VariableError", path)
	}
	return value, nil
}

// Placeholder stands for whatever is asked for.
func (m *Memory) Placeholder(_, path string) (string, error) {
	return "placeholder:" + path, nil
}

func (m *Memory) OpenResource(path string) (uint32, error) {
	if _, found := m.Resources[path]; !found {
		return 0, missing("ResourceError", path)
	}
	m.opened = append(m.opened, path)
	return uint32(len(m.opened)), nil
}

func (m *Memory) Resource(handle uint32) Resource {
	path := m.opened[handle-1]
	resource := m.Resources[path]
	resource.Path = path
	if resource.Fields == "" {
		resource.Fields = "{}"
	}
	return resource
}

func (m *Memory) SqlQuery(handle uint32, statement, parameters string) (string, error) {
	if m.Query == nil {
		return "", &fault.Error{Name: "SqlError", Code: "unavailable", Message: "the test gives no Query"}
	}
	return m.Query(m.opened[handle-1], statement, parameters)
}

func (m *Memory) SqlExecute(handle uint32, statement, parameters string) (uint64, error) {
	if m.Execute == nil {
		return 0, &fault.Error{Name: "SqlError", Code: "unavailable", Message: "the test gives no Execute"}
	}
	return m.Execute(m.opened[handle-1], statement, parameters)
}
