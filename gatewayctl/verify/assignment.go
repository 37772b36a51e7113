// SPDX-License-Identifier: Apache-2.0

package verify

import (
	"bytes"
	"slices"
	"strings"
)

// statement is the text around a name.
type statement struct{ before, after []byte }

// literal is a value as it is written.
type literal struct {
	text  string
	quote byte // 0 for none
}

// value returns the value that the statement gives the name, and false if it gives
// none. It knows the forms of shells, csh, fish, systemd, pam_env, dotenv, compose,
// Containerfiles, JSON, YAML, TOML and of common programming languages, without
// knowing which of them a file is.
func (s statement) value() (v literal, ok bool) {
	if bytes.HasSuffix(s.before, []byte("${")) {
		return s.defaultValue()
	}
	if bytes.HasSuffix(s.before, []byte("$")) {
		return v, false
	}
	rest := trimClosers(s.after)
	operator := trimBlanks(rest)
	spaced := len(operator) < len(rest)
	if spaced && s.isSetCommand() {
		return readLiteral(operator), true
	}
	if value, ok := pamValue(operator); spaced && ok {
		return readLiteral(value), true
	}
	length, isColon := operatorLength(operator)
	if length == 0 {
		return v, false
	}
	value := operator[length:]
	// "NAME= program" gives the name an empty value.
	if trimmed := trimBlanks(value); spaced || isColon || length > 1 {
		if isColon && len(trimmed) == len(value) && !startsQuote(value) {
			return v, false // a:b
		}
		value = trimmed
	}
	v = readLiteral(value)
	if isColon && v.quote == 0 && !endsValue(value[len(v.text):]) {
		return v, false // "NAME: it is a sentence"
	}
	return v, true
}

// defaultValue returns the value of "${NAME:-value}" and the like.
func (s statement) defaultValue() (v literal, ok bool) {
	text := strings.TrimPrefix(string(s.after), ":")
	if text == "" || text[0] != '-' && text[0] != '=' {
		return v, false
	}
	text, _, ok = strings.Cut(firstLineOf(text[1:]), "}")
	return literal{text: strings.Trim(text, `"'`), quote: '"'}, ok
}

// trimClosers removes what ends a name in quotes or brackets: "NAME", ["NAME"].
func trimClosers(text []byte) []byte {
	text = bytes.TrimPrefix(text, []byte(`\`))
	if startsQuote(text) {
		text = text[1:]
	}
	return bytes.TrimPrefix(text, []byte("]"))
}

func startsQuote(text []byte) bool {
	text = bytes.TrimPrefix(text, []byte(`\`))
	return len(text) > 0 && strings.IndexByte("\"'`", text[0]) >= 0
}

func trimBlanks(text []byte) []byte { return bytes.TrimLeft(text, " \t") }

// isSetCommand reports whether the words before the name set a variable without
// an operator: "setenv NAME value", "set -gx NAME value", "ENV NAME value".
func (s statement) isSetCommand() bool {
	line := s.before[bytes.LastIndexByte(s.before, '\n')+1:]
	if len(line) == 0 || len(trimBlanks(line[len(line)-1:])) > 0 {
		return false
	}
	words := strings.Fields(string(line))
	options := 0
	for len(words) > 0 && strings.HasPrefix(words[len(words)-1], "-") {
		words, options = words[:len(words)-1], options+1
	}
	if len(words) == 0 {
		return false
	}
	switch words[len(words)-1] {
	case "setenv", "ENV", "SetEnv":
		return true
	case "set":
		return options > 0
	}
	return false
}

// pamValue returns the value of pam_env.conf(5): NAME DEFAULT=value.
func pamValue(text []byte) ([]byte, bool) {
	for _, word := range []string{"DEFAULT=", "OVERRIDE="} {
		if bytes.HasPrefix(text, []byte(word)) {
			return text[len(word):], true
		}
	}
	return nil, false
}

// operatorLength returns the length of the operator that text begins with, or 0.
func operatorLength(text []byte) (n int, isColon bool) {
	for _, operator := range []string{"=>", ":=", "?=", "+="} {
		if bytes.HasPrefix(text, []byte(operator)) {
			return 2, false
		}
	}
	next := byte(0)
	if len(text) > 1 {
		next = text[1]
	}
	switch {
	case len(text) > 0 && text[0] == '=' && next != '=' && next != '~':
		return 1, false
	case len(text) > 0 && text[0] == ':':
		return 1, true
	}
	return 0, false
}

// readLiteral reads a value to its closing quote, or to the end of the word.
func readLiteral(text []byte) (v literal) {
	text = []byte(firstLineOf(string(text[:min(len(text), textAfter)])))
	if !startsQuote(text) {
		return literal{text: string(text[:endOfWord(text)])}
	}
	text = bytes.TrimPrefix(text, []byte(`\`))
	v.quote = text[0]
	inside, _, _ := bytes.Cut(text[1:], text[:1])
	v.text = strings.TrimSuffix(string(inside), `\`)
	return v
}

func firstLineOf(text string) string {
	line, _, _ := strings.Cut(text, "\n")
	return strings.TrimSuffix(line, "\r")
}

func endOfWord(text []byte) int {
	if i := bytes.IndexAny(text, " \t\"'`,;)}]|&\\"); i >= 0 {
		return i
	}
	return len(text)
}

// endsValue reports whether nothing but a comment or the end of a list follows a bare
// value.
func endsValue(text []byte) bool {
	text = trimBlanks(text)
	return len(text) == 0 || slices.Contains([]byte("\r\n#,}]\"'"), text[0])
}
