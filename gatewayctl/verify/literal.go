// SPDX-License-Identifier: Apache-2.0

package verify

import (
	"path"
	"slices"
	"strings"
)

// counts reports whether a value may be a token. In code and in documents there are
// many examples, so there only a value counts that looks as if a program made it.
func (v literal) counts(lenient, code bool) bool {
	if v.text == "" || v.isReference() || code && v.quote == 0 {
		return false
	}
	if isGenerated(v.text) {
		return true
	}
	return !lenient && !isPlaceholder(v.text)
}

// isReference reports whether the value stands for another one: a variable, a command,
// a template, a YAML tag.
func (v literal) isReference() bool {
	if v.quote == '`' || strings.Contains(v.text, "{{") || strings.IndexByte("<%@", v.text[0]) >= 0 {
		return true
	}
	if v.quote == 0 && (strings.IndexByte("!&*|>", v.text[0]) >= 0 || strings.Contains(v.text, "(")) {
		return true
	}
	for rest := v.text; ; {
		_, after, ok := strings.Cut(rest, "$")
		if !ok {
			return false
		}
		if after != "" && (isNameByte(after[0]) || after[0] == '{' || after[0] == '(') {
			return true
		}
		rest = after
	}
}

// isGenerated reports whether a value is long and mixes letters and digits, as
// hexadecimal, base64 and UUIDs do.
func isGenerated(text string) bool {
	const long = 16
	if len(text) < long || isPlaceholder(text) {
		return false
	}
	letters, digits := 0, 0
	for _, c := range []byte(text) {
		switch {
		case '0' <= c && c <= '9':
			digits++
		case 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z':
			letters++
		case strings.IndexByte("-_.~+/=:", c) < 0:
			return false
		}
	}
	return letters > 0 && digits > 0
}

// isPlaceholder reports whether a value says that another one belongs there: it has
// a word like "your" or "changeme", has only words like "gateway-token", or is one
// character again and again. A long word with letters and digits is none.
func isPlaceholder(text string) bool {
	text = strings.ToLower(text)
	words := strings.FieldsFunc(text, func(r rune) bool { return !('0' <= r && r <= '9' || 'a' <= r && r <= 'z') })
	general := 0
	for _, word := range words {
		if len(word) >= 16 && strings.ContainsAny(word, "0123456789") && strings.Trim(word, word[:1]) != "" {
			return false
		}
		if slices.Contains(generalWords(), word) {
			general++
		}
	}
	one := strings.Join(words, "")
	return general == len(words) || len(one) > 2 && strings.Trim(one, one[:1]) == "" || slices.ContainsFunc(words, isPlaceholderWord)
}

func isPlaceholderWord(word string) bool {
	return slices.Contains([]string{"your", "example", "sample", "placeholder", "change", "changeme", "replace", "replaceme", "redacted", "hidden",
		"todo", "tbd", "dummy", "fake", "insert", "none", "null", "nil", "undefined", "void", "true", "false", "unset", "empty", "xxx"}, word)
}

// generalWords are words that name a token and are none.
func generalWords() []string {
	return []string{"a", "the", "my", "some", "api", "server", "gateway", "openclaw", "hermes", "auth", "token", "secret", "key", "password", "value",
		"test", "string", "here", "env", "file"}
}

// isLenient reports whether a file is one of many with examples: code, a document, a
// part of a package, an example by its name. isCode reports whether it is code.
func isLenient(unsafePath string) (lenient, isCode bool) {
	base := strings.ToLower(path.Base(unsafePath))
	switch path.Ext(base) {
	case ".js", ".mjs", ".cjs", ".jsx", ".ts", ".mts", ".cts", ".tsx", ".py", ".pyi", ".rb", ".go", ".rs", ".java", ".kt", ".swift", ".c", ".h", ".cc",
		".cpp", ".hpp", ".cs", ".php", ".pl", ".pm", ".lua", ".map":
		return true, true
	case ".md", ".mdx", ".markdown", ".rst", ".adoc", ".txt", ".html", ".htm", ".ipynb", ".1", ".5", ".7", ".8":
		return true, false
	}
	for _, dir := range []string{"/node_modules/", "/site-packages/", "/dist-packages/", "/usr/share/doc/", "/usr/share/man/", "/usr/share/info/"} {
		if strings.Contains(unsafePath, dir) {
			return true, false
		}
	}
	for _, word := range []string{"example", "sample", "template"} {
		if strings.Contains(base, word) {
			return true, false
		}
	}
	return false, false
}
