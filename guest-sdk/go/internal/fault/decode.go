package fault

import (
	"encoding/json"
	"fmt"
)

// Encode makes JSON of a value that a script gives.
func Encode(name string, value any) (string, error) {
	encoded, err := json.Marshal(value)
	if err != nil {
		return "", &Error{Name: name, Code: "invalid", Message: fmt.Sprintf("no JSON: %v", err)}
	}
	return string(encoded), nil
}

// Decode reads JSON of the host into what a script wants it in.
func Decode[T any](encoded string) (T, error) {
	var value T
	if err := json.Unmarshal([]byte(encoded), &value); err != nil {
		return value, fmt.Errorf("%T does not hold what is there: %w", value, err)
	}
	return value, nil
}
