// SPDX-License-Identifier: Apache-2.0

package users

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/gateway-init/gateway-init/internal/nearest"
)

const maxID = 1<<31 - 1 // the most that engines and moby/sys/user accept

// line is the requested line of a file.
type line struct {
	file   string
	number int // from 1
	fields []string
}

func (l *line) refuse(format string, args ...any) error {
	return fmt.Errorf("%s:%d: %s", l.file, l.number, fmt.Sprintf(format, args...))
}

// id returns the number in a column.
func (l *line) id(column int, what string) (uint32, error) {
	n, err := id(l.fields[column])
	if errors.Is(err, errRoot) {
		return 0, l.refuse("its %s is refused: %v", what, err)
	}
	if err != nil {
		return 0, l.refuse("its %s is refused: %v: correct the line", what, err)
	}
	return n, nil
}

// missingError says that no line of file has value. near is the name that may be meant,
// or "".
type missingError struct{ file, value, near string }

func (e *missingError) Error() string {
	text := fmt.Sprintf("%s has no line for %.64q: add one to the image", e.file, e.value)
	if e.near != "" {
		text += fmt.Sprintf(", or write %q", e.near)
	}
	return text
}

// nearName returns the name in data that is nearest to value, or "".
func nearName(data []byte, value string) string {
	var names []string
	for l := range bytes.Lines(data) {
		if name, _, ok := bytes.Cut(l, []byte(":")); ok {
			names = append(names, string(name))
		}
	}
	near, _, _ := nearest.Word(value, names)
	return near
}

// find returns the one line whose column is value. Two such lines are refused
// (readers differ in which one counts), and so is another number of fields.
func find(data []byte, file string, column int, value string, fields int) (*line, error) {
	found := &line{file: file}
	var text []byte
	number := 0
	for l := range bytes.Lines(data) {
		number++
		l = bytes.TrimSuffix(l, []byte("\n"))
		if !hasField(l, column, value) {
			continue
		}
		if found.number != 0 {
			return nil, fmt.Errorf("%s:%d and %s:%d both have %.64q: remove one", file, found.number, file, number, value)
		}
		found.number, text = number, l
	}
	if found.number == 0 {
		e := &missingError{file: file, value: value}
		if column == 0 {
			e.near = nearName(data, value)
		}
		return nil, e
	}
	if n := bytes.Count(text, []byte(":")) + 1; n != fields {
		return nil, found.refuse("it has %d fields, not %d: correct the line", n, fields)
	}
	// One reader trims or shows such characters, or cuts at NUL, and others do not.
	if bytes.ContainsFunc(text, func(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f }) {
		return nil, found.refuse("it holds a control character: correct the line")
	}
	found.fields = strings.Split(string(text), ":")
	if name := found.fields[0]; name == "" || name[0] == '#' || strings.ContainsAny(name, " \t") {
		return nil, found.refuse("%.64q is no name: correct the line", name)
	}
	return found, nil
}

func hasField(l []byte, column int, value string) bool {
	for ; column > 0; column-- {
		var more bool
		if _, l, more = bytes.Cut(l, []byte(":")); !more {
			return false
		}
	}
	field, _, _ := bytes.Cut(l, []byte(":"))
	return string(field) == value
}

func isNumber(s string) bool { return s != "" && strings.Trim(s, "0123456789") == "" }

// errRoot is right for the ids of users and of groups.
var errRoot = errors.New("0 is root, which is never used here: name another")

// id parses a decimal number from 1 to 2^31-1 without sign or leading zero.
func id(s string) (uint32, error) {
	if s == "0" {
		return 0, errRoot
	}
	n, err := strconv.ParseUint(s, 10, 32)
	if err != nil || !isNumber(s) || s[0] == '0' || n > maxID {
		return 0, fmt.Errorf("%.32q is not a number from 1 to %d", s, maxID)
	}
	return uint32(n), nil
}
