// SPDX-License-Identifier: Apache-2.0

package strictjson

import (
	"bytes"
	"fmt"
)

// maxDepth bounds nested arrays and objects, and with them the recursion.
const maxDepth = 32

// Parse parses one value; only white space may follow. The error is always a
// *SyntaxError. Nothing in the result refers to data.
func Parse(data []byte) (*Value, error) {
	p := &parser{data: data, line: 1}
	p.space()
	v, err := p.value(0)
	if err != nil {
		return nil, err
	}
	if p.space(); p.at < len(p.data) {
		return nil, p.unexpected("text after the end of the value")
	}
	return v, nil
}

type parser struct {
	data  []byte
	at    int
	line  int
	start int // where the line begins
}

func (p *parser) col() int { return p.at - p.start + 1 }

func (p *parser) fail(msg string) error { return &SyntaxError{Line: p.line, Col: p.col(), Msg: msg} }

// unexpected is fail between values. Its hint names what some readers accept there.
func (p *parser) unexpected(msg string) error {
	rest, before := p.data[p.at:], bytes.TrimRight(p.data[:p.at], " \t\r\n")
	e := &SyntaxError{Line: p.line, Col: p.col(), Msg: msg}
	switch c := p.peek(); {
	case c == '#', bytes.HasPrefix(rest, []byte("//")), bytes.HasPrefix(rest, []byte("/*")):
		e.Hint = "JSON has no comments: remove this one"
	case c == '\'':
		e.Hint = "JSON has no single quotes: write double quotes"
	case (c == '}' || c == ']') && bytes.HasSuffix(before, []byte(",")):
		e.Hint = "JSON has no trailing comma: remove the one before this '" + string(c) + "'"
	case p.at == 0 && 'a' <= c && c <= 'z':
		e.Hint = "the file must be JSON, which begins with {"
	default:
		e.Hint = hintAt(rest)
	}
	return e
}

// hintAt returns the hint for a text that an editor, a template or another language makes.
func hintAt(rest []byte) string {
	for _, h := range [...]struct{ text, hint string }{
		{"\xef\xbb\xbf", "the file begins with a byte order mark: save it as UTF-8 without one"},
		{"\xff\xfe", "the file is UTF-16: save it as UTF-8"},
		{"\xfe\xff", "the file is UTF-16: save it as UTF-8"},
		{"\u201c", "these are quotes of print: write straight ones"},
		{"\u201d", "these are quotes of print: write straight ones"},
		{"\u00a0", "a no-break space is here: write a space"},
		{"$", "no variable is replaced in this file: write its value"},
		{"True", "JSON has true, false and null, in small letters"},
		{"False", "JSON has true, false and null, in small letters"},
		{"None", "JSON has true, false and null, in small letters"},
	} {
		if bytes.HasPrefix(rest, []byte(h.text)) {
			return h.hint
		}
	}
	return ""
}

// peek returns the next byte, or 0 at the end (a NUL is no part of JSON either).
func (p *parser) peek() byte {
	if p.at < len(p.data) {
		return p.data[p.at]
	}
	return 0
}

func (p *parser) space() {
	for p.at < len(p.data) {
		switch p.data[p.at] {
		case '\n':
			p.line, p.start = p.line+1, p.at+1
		case ' ', '\t', '\r':
		default:
			return
		}
		p.at++
	}
}

// value parses a value that is within depth arrays and objects.
func (p *parser) value(depth int) (*Value, error) {
	v := &Value{Line: p.line, Col: p.col(), Start: p.at}
	var err error
	switch c := p.peek(); {
	case (c == '{' || c == '[') && depth == maxDepth:
		err = p.fail(fmt.Sprintf("nested more than %d levels deep", maxDepth))
	case c == '{':
		v.Kind = Object
		v.Members, err = p.object(depth + 1)
	case c == '[':
		v.Kind = Array
		v.Items, err = p.array(depth + 1)
	case c == '"':
		v.Kind = String
		v.Str, err = p.text()
	case c == '-' || isDigit(c):
		v.Kind = Number
		v.Num, err = p.number()
	case p.word("true"):
		v.Kind, v.Bool = Bool, true
	case p.word("false"):
		v.Kind = Bool
	case p.word("null"):
	case p.at >= len(p.data):
		err = p.fail("the text ends where a value should be")
	default:
		err = p.unexpected("not a JSON value")
	}
	v.End = p.at
	return v, err
}

func (p *parser) word(w string) bool {
	if len(p.data)-p.at < len(w) || string(p.data[p.at:p.at+len(w)]) != w {
		return false
	}
	p.at += len(w)
	return true
}

func (p *parser) object(depth int) ([]Member, error) {
	p.at++
	var members []Member
	seen := map[string]struct{}{} // a list would make many keys quadratic
	for p.space(); p.peek() != '}'; p.space() {
		if err := p.comma(len(members) > 0, "expected ',' or '}'"); err != nil {
			return nil, err
		}
		m, err := p.member(depth, seen)
		if err != nil {
			return nil, err
		}
		members = append(members, m)
	}
	p.at++
	return members, nil
}

func (p *parser) member(depth int, seen map[string]struct{}) (Member, error) {
	m := Member{Line: p.line, Col: p.col()}
	if p.peek() != '"' {
		return m, p.unexpected("expected a key in double quotes")
	}
	var err error
	if m.Key, err = p.text(); err != nil {
		return m, err
	}
	if _, twice := seen[m.Key]; twice {
		return m, &SyntaxError{Line: m.Line, Col: m.Col, Msg: fmt.Sprintf("duplicate key %.64q", m.Key)}
	}
	seen[m.Key] = struct{}{}
	if p.space(); p.peek() != ':' {
		return m, p.unexpected("expected ':' after the key")
	}
	p.at++
	p.space()
	m.Value, err = p.value(depth)
	return m, err
}

func (p *parser) array(depth int) ([]*Value, error) {
	p.at++
	var items []*Value
	for p.space(); p.peek() != ']'; p.space() {
		if err := p.comma(len(items) > 0, "expected ',' or ']'"); err != nil {
			return nil, err
		}
		item, err := p.value(depth)
		if err != nil {
			return nil, err
		}
		items = append(items, item)
	}
	p.at++
	return items, nil
}

// comma skips the comma that must stand before every entry but the first. An entry
// must follow the comma, so a trailing comma fails there.
func (p *parser) comma(must bool, msg string) error {
	if !must {
		return nil
	}
	if p.peek() != ',' {
		return p.unexpected(msg)
	}
	p.at++
	p.space()
	return nil
}
