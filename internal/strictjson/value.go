// SPDX-License-Identifier: Apache-2.0

// Package strictjson parses JSON (RFC 8259) into a tree with positions. It refuses
// text that two readers could understand differently: duplicate keys, bad UTF-8,
// lone surrogates, anything after the value. Nesting is bounded to 32 levels, so
// hostile input cannot exhaust the stack.
package strictjson

import (
	"encoding/json"
	"fmt"
)

// Kind is the type of a Value.
type Kind uint8

// The kinds.
const (
	Null Kind = iota
	Bool
	Number
	String
	Array
	Object
)

// String returns the kind with its article, for messages.
func (k Kind) String() string {
	switch k {
	case Null:
		return "null"
	case Bool:
		return "a boolean"
	case Number:
		return "a number"
	case String:
		return "a string"
	case Array:
		return "an array"
	case Object:
		return "an object"
	}
	return fmt.Sprintf("kind %d", uint8(k))
}

// Value is one JSON value. Line and Col are those of its first byte and count
// from 1; Col counts bytes.
type Value struct {
	Kind       Kind
	Line, Col  int
	Start, End int // its text is data[Start:End]
	Bool       bool
	Num        string // as written
	Str        string // decoded
	Items      []*Value
	Members    []Member
}

// Member is one key of an Object, in the order of the text. Line and Col are
// those of the key.
type Member struct {
	Key       string
	Line, Col int
	Value     *Value
}

// Get returns the value of this key, or nil if there is none or v is not an object.
func (v *Value) Get(key string) *Value {
	for _, m := range v.Members {
		if m.Key == key {
			return m.Value
		}
	}
	return nil
}

// Scalar returns the canonical JSON text of a value, and false for an array or
// object. A number is as written (1 and 1.0 differ), and a string is encoded again.
func (v *Value) Scalar() (string, bool) {
	switch v.Kind {
	case Null:
		return "null", true
	case Bool:
		if v.Bool {
			return "true", true
		}
		return "false", true
	case Number:
		return v.Num, true
	case String:
		text, err := json.Marshal(v.Str)
		return string(text), err == nil
	}
	return "", false
}

// SyntaxError says why a text is refused. Line and Col count from 1; Col counts
// bytes. Msg is one line of bounded length. Hint says what the writer may have meant, or
// is "".
type SyntaxError struct {
	Line, Col int
	Msg, Hint string
}

func (e *SyntaxError) Error() string { return fmt.Sprintf("%d:%d: %s", e.Line, e.Col, e.Msg) }
