package sandmill

import (
	"encoding"
	"encoding/json"
	"fmt"
	"math"
	"reflect"
	"strings"
	"time"
)

// schema is JSON Schema 2020-12. Properties keep the order of the fields, which forms show them in.
type schema struct {
	Schema      string             `json:"$schema,omitempty"`
	Ref         string             `json:"$ref,omitempty"`
	Type        any                `json:"type,omitempty"`
	AnyOf       []*schema          `json:"anyOf,omitempty"`
	Description string             `json:"description,omitempty"`
	Format      string             `json:"format,omitempty"`
	Encoding    string             `json:"contentEncoding,omitempty"`
	Enum        []string           `json:"enum,omitempty"`
	Minimum     any                `json:"minimum,omitempty"`
	Maximum     any                `json:"maximum,omitempty"`
	Items       *schema            `json:"items,omitempty"`
	MinItems    *int               `json:"minItems,omitempty"`
	MaxItems    *int               `json:"maxItems,omitempty"`
	Properties  properties         `json:"properties,omitempty"`
	Values      *schema            `json:"additionalProperties,omitempty"`
	Required    []string           `json:"required,omitempty"`
	Default     json.RawMessage    `json:"default,omitempty"`
	Defs        map[string]*schema `json:"$defs,omitempty"`
}

type property struct {
	name   string
	schema *schema
}

type properties []property

func (p properties) MarshalJSON() ([]byte, error) {
	var text strings.Builder
	for i, property := range p {
		name, err := json.Marshal(property.name)
		if err != nil {
			return nil, err
		}
		value, err := json.Marshal(property.schema)
		if err != nil {
			return nil, err
		}
		fmt.Fprintf(&text, "%c%s:%s", "{,"[min(i, 1)], name, value)
	}
	if len(p) == 0 {
		return []byte("{}"), nil
	}
	return []byte(text.String() + "}"), nil
}

func describe(args reflect.Type) string {
	if args.Kind() != reflect.Struct && args.Kind() != reflect.Map {
		panic(fmt.Sprintf("sandmill.Main takes its arguments as a struct or a map, not as %s", args))
	}
	maker := maker{open: map[reflect.Type]bool{}, defs: map[string]*schema{}}
	root := maker.of(args)
	if root.Ref != "" {
		// The arguments contain themselves: the root has to be the object.
		whole := *maker.defs[defName(args)]
		root = &whole
	}
	root.Schema = "https://json-schema.org/draft/2020-12/schema"
	root.Defs = maker.defs
	text, err := json.Marshal(root)
	if err != nil {
		panic(err)
	}
	return string(text)
}

type maker struct {
	// open are the structs being described: one that is met again inside of itself becomes a definition.
	open map[reflect.Type]bool
	defs map[string]*schema
}

func defName(kind reflect.Type) string {
	return strings.NewReplacer("/", ".", "~", ".", "%", ".").Replace(kind.String())
}

var (
	textType    = reflect.TypeFor[encoding.TextMarshaler]()
	jsonType    = reflect.TypeFor[json.Marshaler]()
	timeType    = reflect.TypeFor[time.Time]()
	numberType  = reflect.TypeFor[json.Number]()
	rawJSONType = reflect.TypeFor[json.RawMessage]()
)

func (m maker) of(kind reflect.Type) *schema {
	switch {
	case kind == timeType:
		return &schema{Type: "string", Format: "date-time"}
	case kind == numberType:
		return &schema{Type: "number"}
	case kind == rawJSONType || kind.Implements(jsonType) || reflect.PointerTo(kind).Implements(jsonType):
		return &schema{}
	case kind.Kind() == reflect.Pointer:
		return &schema{AnyOf: []*schema{m.of(kind.Elem()), {Type: "null"}}}
	case kind.Implements(textType) || reflect.PointerTo(kind).Implements(textType):
		return &schema{Type: "string"}
	}
	switch kind.Kind() {
	case reflect.Bool:
		return &schema{Type: "boolean"}
	case reflect.String:
		return &schema{Type: "string"}
	case reflect.Float32, reflect.Float64:
		return &schema{Type: "number"}
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64, reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return integer(kind)
	case reflect.Slice:
		if kind.Elem().Kind() == reflect.Uint8 {
			return &schema{Type: "string", Encoding: "base64"}
		}
		return &schema{Type: "array", Items: m.of(kind.Elem())}
	case reflect.Array:
		length := kind.Len()
		return &schema{Type: "array", Items: m.of(kind.Elem()), MinItems: &length, MaxItems: &length}
	case reflect.Map:
		return &schema{Type: "object", Values: m.of(kind.Elem())}
	case reflect.Interface:
		return &schema{}
	case reflect.Struct:
		return m.object(kind)
	}
	panic(fmt.Sprintf("an argument cannot be of type %s", kind))
}

// integer has the type's range, so that a number that would overflow is refused before the run; 64 bits are beyond what JSON numbers keep.
func integer(kind reflect.Type) *schema {
	number := &schema{Type: "integer"}
	bits := kind.Bits()
	unsigned := kind.Kind() >= reflect.Uint
	if unsigned {
		number.Minimum = 0
	}
	if bits < 64 && unsigned {
		number.Maximum = uint64(1)<<bits - 1
	} else if bits < 64 {
		number.Minimum, number.Maximum = math.MinInt64>>(64-bits), math.MaxInt64>>(64-bits)
	}
	return number
}

func (m maker) object(kind reflect.Type) *schema {
	if kind.Name() != "" {
		if m.open[kind] {
			m.defs[defName(kind)] = nil
			return &schema{Ref: "#/$defs/" + defName(kind)}
		}
		m.open[kind] = true
		defer delete(m.open, kind)
	}
	object := &schema{Type: "object"}
	for _, field := range fieldsOf(kind) {
		inner := m.of(field.kind)
		inner.Description = field.tag.Get("desc")
		inner.Default = field.fallback
		if choices, ok := field.tag.Lookup("enum"); ok {
			inner.Enum = strings.Split(choices, ",")
		}
		object.Properties = append(object.Properties, property{field.name, inner})
		if !field.optional {
			object.Required = append(object.Required, field.name)
		}
	}
	if _, met := m.defs[defName(kind)]; met {
		m.defs[defName(kind)] = object
		return &schema{Ref: "#/$defs/" + defName(kind)}
	}
	return object
}
