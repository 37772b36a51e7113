// SPDX-License-Identifier: Apache-2.0

package config

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// printer writes JSON for people. An object takes several lines, a list of scalars
// takes one, and <, > and & stay as they are. encoding/json would do it otherwise,
// and with many times the code.
type printer struct {
	b     strings.Builder
	depth int
	named bool // in an object, whose entries have keys
	more  bool // there is an entry before in the same object or list
}

// key begins the next entry; in a list, and at the top, key is not printed.
func (p *printer) key(key string) {
	if p.more {
		p.b.WriteByte(',')
	}
	p.more = true
	p.line()
	if p.named {
		p.b.WriteString(quoteJSON(key))
		p.b.WriteString(": ")
	}
}

func (p *printer) line() {
	if p.b.Len() > 0 {
		p.b.WriteByte('\n')
	}
	for range p.depth {
		p.b.WriteString("  ")
	}
}

// group prints an object or a list; bracket is {} or [].
func (p *printer) group(key, bracket string, entries func()) {
	p.key(key)
	p.b.WriteByte(bracket[0])
	outer := p.named
	p.named, p.more = bracket == "{}", false
	p.depth++
	entries()
	p.depth--
	if p.more {
		p.line()
	}
	p.b.WriteByte(bracket[1])
	p.named, p.more = outer, true
}

func (p *printer) object(key string, entries func()) { p.group(key, "{}", entries) }
func (p *printer) list(key string, entries func())   { p.group(key, "[]", entries) }

// raw prints text, which is JSON already.
func (p *printer) raw(key, text string) {
	p.key(key)
	p.b.WriteString(text)
}

func (p *printer) text(key, v string)               { p.raw(key, quoteJSON(v)) }
func (p *printer) boolean(key string, v bool)       { p.raw(key, strconv.FormatBool(v)) }
func (p *printer) number(key string, v uint64)      { p.raw(key, strconv.FormatUint(v, 10)) }
func (p *printer) span(key string, v time.Duration) { p.text(key, shortDuration(v)) }

func (p *printer) texts(key string, list []string) {
	items := make([]string, len(list))
	for i, v := range list {
		items[i] = quoteJSON(v)
	}
	p.raw(key, "["+strings.Join(items, ", ")+"]")
}

func (p *printer) numbers(key string, list []int) {
	items := make([]string, len(list))
	for i, v := range list {
		items[i] = strconv.Itoa(v)
	}
	p.raw(key, "["+strings.Join(items, ", ")+"]")
}

// pairs prints NAME=value entries.
func (p *printer) pairs(key string, env []string) {
	p.object(key, func() {
		for _, kv := range env {
			name, value, _ := strings.Cut(kv, "=")
			p.text(name, value)
		}
	})
}

// quoteJSON returns s as a JSON string. Everything in a Config is valid UTF-8.
func quoteJSON(s string) string {
	b := []byte{'"'}
	for i := range len(s) {
		switch c := s[i]; {
		case c == '"' || c == '\\':
			b = append(b, '\\', c)
		case c < ' ' || c == 0x7f:
			b = fmt.Appendf(b, `\u%04x`, c)
		default:
			b = append(b, c)
		}
	}
	return string(append(b, '"'))
}
