// SPDX-License-Identifier: Apache-2.0

package verify

import (
	"bytes"
	"slices"
)

// Parts of a file that a textScan looks at. A file is text if it has no NUL in its
// first textHead bytes.
const (
	textHead   = 8 << 10
	textWindow = 64 << 10 // bytes that are searched at once
	textBefore = 256      // bytes before a name that a statement may have
	textAfter  = 1 << 10  // bytes behind it
)

// longestName is the length of the longest name that a textScan looks at.
const longestName = 128

// secretWords are parts of names of variables that may hold a token. gateway.token_env
// is not known while an archive is read, so each assignment to such a name is noted.
func secretWords() []string { return []string{"TOKEN", "KEY", "SECRET", "PASS", "AUTH", "CRED"} }

// hasSecretWord reports whether a textScan finds name without being given it.
func hasSecretWord(name string) bool {
	for i := range len(name) {
		if c := name[i]; !(c == '_' || '0' <= c && c <= '9' || 'A' <= c && c <= 'Z') {
			return false
		}
	}
	return slices.ContainsFunc(secretWords(), func(word string) bool { return bytes.Contains([]byte(name), []byte(word)) })
}

// textScan finds assignments of a literal value to the name of a secret, in a text of
// any length. It is an io.Writer, and end must be called behind the last byte.
type textScan struct {
	names   []string                    // exact names, beside those with a secret word
	lenient bool                        // only values that look generated count
	code    bool                        // a value has quotes
	found   func(name string, line int) // is called for each assignment
	buf     []byte
	done    int // bytes of buf that were searched
	line    int // newlines before buf
	decided bool
	binary  bool
}

// Write looks at p; it never fails.
func (t *textScan) Write(p []byte) (int, error) {
	n := len(p)
	for len(p) > 0 && !t.binary {
		part := p[:min(len(p), textWindow-len(t.buf))]
		t.buf, p = append(t.buf, part...), p[len(part):]
		if len(t.buf) == textWindow {
			t.search(len(t.buf) - textAfter)
		}
	}
	return n, nil
}

// end searches the remaining bytes.
func (t *textScan) end() { t.search(len(t.buf)) }

// search looks at the names that begin before to, and drops what is not needed
// any more.
func (t *textScan) search(to int) {
	if !t.decided {
		t.decided, t.binary = true, bytes.IndexByte(t.buf[:min(len(t.buf), textHead)], 0) >= 0
	}
	if t.binary {
		t.buf = nil
		return
	}
	to = max(t.done, nameStart(t.buf, to)) // no name is cut
	lines := 0
	from := 0
	for _, start := range t.starts(to) {
		if name, ok := t.assigned(start); ok {
			lines, from = lines+bytes.Count(t.buf[from:start], []byte("\n")), start
			t.found(name, t.line+1+lines)
		}
	}
	drop := max(0, to-textBefore)
	t.line += bytes.Count(t.buf[:drop], []byte("\n"))
	t.done = to - drop
	t.buf = append(t.buf[:0], t.buf[drop:]...)
}

// starts returns where the names begin that are to be looked at, up to to.
func (t *textScan) starts(to int) (all []int) {
	for _, word := range append(secretWords(), t.names...) {
		for at := t.done; at < to; at++ {
			i := bytes.Index(t.buf[at:to], []byte(word))
			if i < 0 {
				break
			}
			at += i
			if start := nameStart(t.buf, at); start >= t.done {
				all = append(all, start)
			}
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// assigned returns the name that begins at start, and whether it gets a value that
// counts.
func (t *textScan) assigned(start int) (name string, ok bool) {
	end := start
	for end < len(t.buf) && end-start <= longestName && isNameByte(t.buf[end]) {
		end++
	}
	name = string(t.buf[start:end])
	if len(name) > longestName || !hasSecretWord(name) && !slices.Contains(t.names, name) {
		return name, false
	}
	s := statement{before: t.buf[max(0, start-textBefore):start], after: t.buf[end:min(len(t.buf), end+textAfter)]}
	v, ok := s.value()
	return name, ok && v.counts(t.lenient, t.code)
}

func isNameByte(c byte) bool {
	return c == '_' || '0' <= c && c <= '9' || 'A' <= c && c <= 'Z' || 'a' <= c && c <= 'z'
}

// nameStart returns where the name begins that has the byte at i or ends there. A
// longer name than any begins at i.
func nameStart(text []byte, i int) int {
	for start := i; i-start <= longestName; start-- {
		if start == 0 || !isNameByte(text[start-1]) {
			return start
		}
	}
	return i
}
