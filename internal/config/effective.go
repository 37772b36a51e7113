// SPDX-License-Identifier: Apache-2.0

package config

import (
	"fmt"
	"io"
	"strings"
)

// WriteEffective prints every value, defaults included, as a configuration that
// Parse reads back as the same. The values of env are printed too, because they
// stand in a file that every user in the image can read.
func (c *Config) WriteEffective(w io.Writer) error {
	_, err := io.WriteString(w, c.table().show(0)+"\n")
	return err
}

// group returns an object or a list with an entry in each line; bracket is {} or [].
// encoding/json would put a list of scalars on several lines too, and would take
// many times the code.
func group(depth int, bracket string, entries []string) string {
	if len(entries) == 0 {
		return bracket
	}
	line := "\n" + strings.Repeat("  ", depth)
	return bracket[:1] + line + "  " + strings.Join(entries, ","+line+"  ") + line + bracket[1:]
}

// pair returns a member of an object.
func pair(name, value string) string { return quoteJSON(name) + ": " + value }

// each returns the JSON of n items.
func each(n int, show func(i int) string) []string {
	texts := make([]string, n)
	for i := range texts {
		texts[i] = show(i)
	}
	return texts
}

// inLine returns a list of scalars.
func inLine(items []string) string { return "[" + strings.Join(items, ", ") + "]" }

func quoteAll(items []string) string {
	return inLine(each(len(items), func(i int) string { return quoteJSON(items[i]) }))
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
