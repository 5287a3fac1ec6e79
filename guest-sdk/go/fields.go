package sandmill

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
)

// field is a struct's field as encoding/json sees it, with what the tags say beside.
type field struct {
	name     string
	index    []int
	kind     reflect.Type
	tag      reflect.StructTag
	optional bool
	// fallback is the tag `default` as JSON: of a field of text it is the text itself.
	fallback json.RawMessage
}

// fieldsOf are the exported fields; those of an embedded struct without a name count as the struct's own, as in encoding/json.
func fieldsOf(kind reflect.Type) []field {
	var fields []field
	for i := range kind.NumField() {
		inner := kind.Field(i)
		name, options, _ := strings.Cut(inner.Tag.Get("json"), ",")
		if name == "-" && options == "" || !inner.IsExported() && !inner.Anonymous {
			continue
		}
		if inner.Anonymous && name == "" && inner.Type.Kind() == reflect.Struct {
			for _, promoted := range fieldsOf(inner.Type) {
				promoted.index = append([]int{i}, promoted.index...)
				fields = append(fields, promoted)
			}
			continue
		}
		if inner.Anonymous && name == "" && inner.Type.Kind() == reflect.Pointer {
			panic(fmt.Sprintf("embed %s itself in the arguments, not a pointer", inner.Type.Elem()))
		}
		if name == "" {
			name = inner.Name
		}
		fallback := fallbackOf(inner)
		optional := fallback != nil || inner.Type.Kind() == reflect.Pointer
		for option := range strings.SplitSeq(options, ",") {
			optional = optional || option == "omitempty" || option == "omitzero"
		}
		fields = append(fields, field{name, []int{i}, inner.Type, inner.Tag, optional, fallback})
	}
	return fields
}

func fallbackOf(inner reflect.StructField) json.RawMessage {
	text, ok := inner.Tag.Lookup("default")
	if !ok {
		return nil
	}
	kind := inner.Type
	if kind.Kind() == reflect.Pointer {
		kind = kind.Elem()
	}
	fallback := json.RawMessage(text)
	if kind.Kind() == reflect.String {
		fallback, _ = json.Marshal(text)
	}
	if err := json.Unmarshal(fallback, reflect.New(inner.Type).Interface()); err != nil {
		panic(fmt.Sprintf("the tag `default` of %s: %v", inner.Name, err))
	}
	return fallback
}

// setDefaults fills in what `default` says, before the arguments are read over it. It goes into structs that are fields, not into elements:
// those are only there once they were read.
func setDefaults(value reflect.Value) {
	if value.Kind() != reflect.Struct {
		return
	}
	for _, field := range fieldsOf(value.Type()) {
		inner := value.FieldByIndex(field.index)
		switch {
		case !inner.CanSet():
		case field.fallback != nil:
			// It was tried when the fields were listed.
			_ = json.Unmarshal(field.fallback, inner.Addr().Interface())
		default:
			setDefaults(inner)
		}
	}
}
