// SPDX-License-Identifier: Apache-2.0

package strictjson

import (
	"strconv"
	"unicode/utf16"
	"unicode/utf8"
)

func isDigit(c byte) bool { return c >= '0' && c <= '9' }

// number parses -?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?
func (p *parser) number() (string, error) {
	from := p.at
	if p.peek() == '-' {
		p.at++
	}
	if p.peek() == '0' {
		p.at++
		if isDigit(p.peek()) {
			return "", p.fail("a number must not start with 0")
		}
	} else if err := p.digits(); err != nil {
		return "", err
	}
	if p.peek() == '.' {
		p.at++
		if err := p.digits(); err != nil {
			return "", err
		}
	}
	if c := p.peek(); c == 'e' || c == 'E' {
		p.at++
		if c := p.peek(); c == '+' || c == '-' {
			p.at++
		}
		if err := p.digits(); err != nil {
			return "", err
		}
	}
	return string(p.data[from:p.at]), nil
}

// digits skips one digit or more.
func (p *parser) digits() error {
	if !isDigit(p.peek()) {
		return p.fail("a number needs a digit here")
	}
	for isDigit(p.peek()) {
		p.at++
	}
	return nil
}

func (p *parser) text() (string, error) {
	p.at++
	var out []byte
	for {
		c := p.peek()
		switch {
		case p.at >= len(p.data):
			return "", p.fail("the text ends inside a string")
		case c == '"':
			p.at++
			return string(out), nil
		case c == '\\':
			r, err := p.escape()
			if err != nil {
				return "", err
			}
			out = utf8.AppendRune(out, r)
		case c < ' ':
			return "", p.fail("control character in a string")
		default:
			r, size := utf8.DecodeRune(p.data[p.at:])
			if r == utf8.RuneError && size == 1 {
				return "", p.fail("invalid UTF-8")
			}
			out = append(out, p.data[p.at:p.at+size]...)
			p.at += size
		}
	}
}

// escape parses a backslash and its escape (RFC 8259 section 7).
func (p *parser) escape() (rune, error) {
	p.at++
	var r rune
	switch c := p.peek(); c {
	case 'u':
		return p.unicode()
	case '"', '\\', '/':
		r = rune(c)
	case 'b':
		r = '\b'
	case 'f':
		r = '\f'
	case 'n':
		r = '\n'
	case 'r':
		r = '\r'
	case 't':
		r = '\t'
	default:
		return 0, p.fail("unknown escape in a string")
	}
	p.at++
	return r, nil
}

// unicode parses \uXXXX, or two of them for a rune beyond 16 bits. A lone half has
// no meaning that all readers share, so it is refused rather than replaced.
func (p *parser) unicode() (rune, error) {
	r, err := p.hex()
	if err != nil || !utf16.IsSurrogate(r) {
		return r, err
	}
	if !p.word(`\`) || p.peek() != 'u' {
		return 0, p.fail("lone surrogate in a string")
	}
	low, err := p.hex()
	if err != nil {
		return 0, err
	}
	if r = utf16.DecodeRune(r, low); r == utf8.RuneError {
		return 0, p.fail("lone surrogate in a string")
	}
	return r, nil
}

// hex parses u and four digits.
func (p *parser) hex() (rune, error) {
	p.at++
	if len(p.data)-p.at < 4 {
		return 0, p.fail(`\u needs four hex digits`)
	}
	n, err := strconv.ParseUint(string(p.data[p.at:p.at+4]), 16, 32)
	if err != nil {
		return 0, p.fail(`\u needs four hex digits`)
	}
	p.at += 4
	return rune(n), nil
}
