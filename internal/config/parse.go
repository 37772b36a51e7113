// SPDX-License-Identifier: Apache-2.0

package config

import (
	"errors"
	"fmt"
	"slices"
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
		problem := se.Msg
		if se.Hint != "" {
			problem += ": " + se.Hint
		}
		return nil, &Error{unsafePath, se.Line, se.Col, "", problem}
	}
	c := &Config{}
	d := &decoder{c: c, at: map[string]*strictjson.Value{"": root}}
	if d.object(node{root, ""}, c.table()); d.err == nil {
		d.finish()
	}
	if d.err != nil {
		d.err.File = unsafePath
		return nil, d.err
	}
	return c, nil
}

// The most entries that each list may have.
const (
	maxPrepare  = 64
	maxSidecars = 16
	maxClients  = 32
	maxArgs     = 256
	maxEnv      = 256
	maxCodes    = 32
	maxExpect   = 32
)

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

// object walks n in the order of the file, and then gives each key that n does not
// have its default. An unknown key is refused at its own position, because a
// misspelled key must not mean its default.
func (d *decoder) object(n node, t table) {
	if !d.is(n, strictjson.Object) {
		return
	}
	for _, m := range n.Members {
		at := node{m.Value, join(n.key, m.Key)}
		d.at[at.key] = m.Value
		i := slices.IndexFunc(t, func(k key) bool { return k.name == m.Key })
		if i < 0 {
			d.fail(nameNode(m, at), "%s", d.unknownKey(n.key, m.Key, t))
		} else {
			t[i].read(d, at)
		}
		if d.err != nil {
			return
		}
	}
	for _, k := range t {
		if n.Get(k.name) != nil {
			continue
		}
		if v, err := strictjson.Parse([]byte(k.def)); err == nil { // else it is a word
			k.read(d, node{v, ""})
		}
	}
}

// complete walks n as object does, and refuses n without a key that it needs.
func (d *decoder) complete(n node, t table) {
	d.object(n, t)
	for _, k := range t {
		if k.def == needed && n.Get(k.name) == nil {
			d.fail(n, "%s is missing", k.name)
		}
	}
}

// members hands each member of an object with names of its own to take, at most most
// of them. at has the position of the value.
func (d *decoder) members(n node, most int, take func(m strictjson.Member, at node)) {
	if !d.is(n, strictjson.Object) || !d.atMost(n, len(n.Members), most) {
		return
	}
	for _, m := range n.Members {
		take(m, node{m.Value, join(n.key, m.Key)})
	}
}

// nameNode returns at with the position of the name instead of the value.
func nameNode(m strictjson.Member, at node) node {
	return node{&strictjson.Value{Line: m.Line, Col: m.Col}, at.key}
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
	switch {
	case n.Kind == k:
	case k == strictjson.Array && n.Kind == strictjson.String:
		d.fail(n, "is %v, not %v: write %s", n.Kind, k, listOf(n.Str))
	case k == strictjson.String && (n.Kind == strictjson.Number || n.Kind == strictjson.Bool):
		d.fail(n, "is %v, not %v in quotes", n.Kind, k)
	default:
		d.fail(n, "is %v, not %v", n.Kind, k)
	}
	return d.err == nil
}

// listOf returns the words of text as a list, or an example if text is long.
func listOf(text string) string {
	words := strings.Fields(text)
	if len(words) == 0 || len(text) > 64 {
		words = []string{"WORD", "WORD"}
	}
	return inLine(each(len(words), func(i int) string { return quoteJSON(words[i]) }))
}
