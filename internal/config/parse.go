// SPDX-License-Identifier: Apache-2.0

package config

import (
	"errors"
	"fmt"
	"strings"

	"github.com/gateway-init/gateway-init/internal/strictjson"
)

// Error says why a configuration is refused, in one line with file, line, column
// (in bytes, from 1), key, problem and accepted values.
type Error struct {
	File      string
	Line, Col int
	Key       string // "gateway.stop.grace"; "" for syntax and for a missing key
	Problem   string
}

func (e *Error) Error() string {
	if e.Key == "" {
		return fmt.Sprintf("%s:%d:%d: %s", e.File, e.Line, e.Col, e.Problem)
	}
	return fmt.Sprintf("%s:%d:%d: %s: %s", e.File, e.Line, e.Col, e.Key, e.Problem)
}

// Parse reads a configuration and fills in every default. The error is always
// an *Error; unsafePath is only for the error. Nothing in the result refers to data.
func Parse(data []byte, unsafePath string) (*Config, error) {
	root, err := strictjson.Parse(data)
	var se *strictjson.SyntaxError
	if errors.As(err, &se) {
		return nil, &Error{unsafePath, se.Line, se.Col, "", se.Msg}
	}
	d := &decoder{c: defaults(), at: map[string]*strictjson.Value{"": root}}
	if d.object(node{root, ""}, d.top); d.err == nil {
		d.finish()
	}
	if d.err != nil {
		d.err.File = unsafePath
		return nil, d.err
	}
	return d.c, nil
}

// node is a value and the path of keys to it.
type node struct {
	*strictjson.Value
	key string
}

// decoder remembers the first error, and then looks at nothing else.
type decoder struct {
	c   *Config
	at  map[string]*strictjson.Value // every key of an object that was read
	err *Error
}

func (d *decoder) fail(n node, format string, args ...any) {
	if d.err == nil {
		d.err = &Error{Line: n.Line, Col: n.Col, Key: n.key, Problem: fmt.Sprintf(format, args...)}
	}
}

// join returns a path with a key added. A key that is not a plain word is quoted
// and cut, so that an error stays one line.
func join(path, key string) string {
	plain := func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '_' || r == '-'
	}
	if key == "" || len(key) > 64 || strings.ContainsFunc(key, func(r rune) bool { return !plain(r) }) {
		key = fmt.Sprintf("%.64q", key)
	}
	if path == "" {
		return key
	}
	return path + "." + key
}

// table takes the value of a key. It returns false for a key that it does not have.
type table func(key string, n node) bool

// object walks n in the order of the file. An unknown key is refused at its own
// position, because a misspelled key must not mean its default.
func (d *decoder) object(n node, known table) {
	if !d.is(n, strictjson.Object) {
		return
	}
	for _, m := range n.Members {
		key := join(n.key, m.Key)
		d.at[key] = m.Value
		if !known(m.Key, node{m.Value, key}) {
			d.fail(node{&strictjson.Value{Line: m.Line, Col: m.Col}, key}, "unknown key")
		}
		if d.err != nil {
			return
		}
	}
}

// list hands each item of an array to take, at most most of them.
func (d *decoder) list(n node, most int, take func(node)) {
	if !d.is(n, strictjson.Array) || !d.atMost(n, len(n.Items), most) {
		return
	}
	for i, item := range n.Items {
		if take(node{item, fmt.Sprintf("%s[%d]", n.key, i)}); d.err != nil {
			return
		}
	}
}

func (d *decoder) atMost(n node, have, most int) bool {
	if have > most {
		d.fail(n, "has %d entries (accepted: at most %d)", have, most)
	}
	return d.err == nil
}

// is reports whether n is of kind k and there was no error before.
func (d *decoder) is(n node, k strictjson.Kind) bool {
	if n.Kind != k {
		d.fail(n, "is %v, not %v", n.Kind, k)
	}
	return d.err == nil
}
