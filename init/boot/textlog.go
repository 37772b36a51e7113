// SPDX-License-Identifier: Apache-2.0

package boot

import (
	"io"

	"github.com/gateway-init/gateway-init/internal/strictjson"
)

// textWriter turns each JSON line of the log into key=value text, for people
// who read docker logs. zerolog's own ConsoleWriter would cost a tenth of the
// binary.
type textWriter struct{ w io.Writer }

func (t textWriter) Write(line []byte) (int, error) {
	_, err := t.w.Write(appendText(nil, line))
	return len(line), err
}

// appendText rewrites one flat JSON object in the order of its members. Strings
// stay quoted where they hold more than a word, so that no value can look like
// another line or member.
func appendText(out, line []byte) []byte {
	start := len(out)
	inString, escaped := false, false
	from := 0
	flush := func(to int) {
		if key, value, ok := cutMember(line[from:to]); ok {
			if len(out) > start {
				out = append(out, ' ')
			}
			out = append(append(append(out, key...), '='), value...)
		}
	}
	for i, c := range line {
		switch {
		case escaped:
			escaped = false
		case inString && c == '\\':
			escaped = true
		case c == '"':
			inString = !inString
		case inString:
		case c == '{':
			from = i + 1
		case c == ',' || c == '}':
			flush(i)
			from = i + 1
		}
	}
	return append(out, '\n')
}

// cutMember splits `"key":value`; a string value that is one plain word loses
// its quotes.
func cutMember(m []byte) (key string, value []byte, ok bool) {
	for i := 1; i < len(m); i++ {
		if m[i] != ':' || m[i-1] != '"' {
			continue
		}
		v, err := strictjson.Parse(m[:i])
		if err != nil || v.Kind != strictjson.String {
			return "", nil, false
		}
		value = m[i+1:]
		if n := len(value); n > 2 && value[0] == '"' && plain(value[1:n-1]) {
			value = value[1 : n-1]
		}
		return v.Str, value, true
	}
	return "", nil, false
}

func plain(word []byte) bool {
	for _, c := range word {
		if c <= ' ' || c >= 0x7f || c == '"' || c == '=' || c == '\\' {
			return false
		}
	}
	return true
}
