// SPDX-License-Identifier: Apache-2.0

package config

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/gateway-init/gateway-init/internal/strictjson"
)

// boolean is the field of true or false.
type boolean bool

func (f *boolean) read(d *decoder, n node)         { *f = boolean(d.is(n, strictjson.Bool) && n.Bool) }
func (f *boolean) show(int) string                 { return strconv.FormatBool(bool(*f)) }
func (f *boolean) manual() (kind, accepted string) { return "boolean", "true, false" }

// duration is the field of a duration. Below least it would mean "now", and above
// most it would mean "never".
type duration struct {
	to          *time.Duration
	least, most time.Duration
}

func (f *duration) read(d *decoder, n node) {
	v, err := time.ParseDuration(n.Str)
	switch {
	case n.Kind != strictjson.String:
		d.fail(n, "is %v, not a duration in quotes (accepted: %s)", n.Kind, f.bounds())
	case err != nil && n.Str != "" && strings.Trim(n.Str, "0123456789") == "":
		d.fail(n, "%.64q is not a duration (accepted: %s): it has no unit: write \"%.64ss\"", n.Str, f.bounds(), n.Str)
	case err != nil:
		d.fail(n, "%.64q is not a duration (accepted: %s)", n.Str, f.bounds())
	case v < f.least || v > f.most:
		d.fail(n, "%.64q is out of range (accepted: %s)", n.Str, f.bounds())
	}
	*f.to = v
}

func (f *duration) bounds() string                  { return shortDuration(f.least) + " to " + shortDuration(f.most) }
func (f *duration) show(int) string                 { return quoteJSON(shortDuration(*f.to)) }
func (f *duration) manual() (kind, accepted string) { return "duration", f.bounds() }

// shortDuration returns a duration without zero units at its end: 1h for 1h0m0s.
func shortDuration(v time.Duration) string {
	s := v.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

// whole is the field of a number. 0 is no value, and no key accepts it.
type whole[T uint16 | uint64] struct {
	to          *T
	least, most uint64
}

func (f *whole[T]) read(d *decoder, n node) { *f.to = T(d.whole(n, f.least, f.most)) }

func (f *whole[T]) show(int) string {
	if *f.to == 0 {
		return ""
	}
	return strconv.FormatUint(uint64(*f.to), 10)
}

func (f *whole[T]) manual() (kind, accepted string) {
	return "number", fmt.Sprintf("%d to %d", f.least, f.most)
}

// whole returns a whole number, written without fraction or exponent.
func (d *decoder) whole(n node, least, most uint64) uint64 {
	v, err := strconv.ParseUint(n.Num, 10, 64)
	switch {
	case n.Kind != strictjson.Number:
		d.fail(n, "is %v, not a number (accepted: %d to %d)", n.Kind, least, most)
	case err != nil || v < least || v > most:
		d.fail(n, "%.32s is not a whole number in range (accepted: %d to %d)", n.Num, least, most)
	}
	return v
}

// codes is the field of a list of at least fewest numbers. An empty list gives nil.
type codes struct {
	to          *[]int
	fewest      int
	least, most uint64
}

func (f *codes) read(d *decoder, n node) {
	d.list(n, maxCodes, func(n node) { *f.to = append(*f.to, int(d.whole(n, f.least, f.most))) })
	if len(*f.to) < f.fewest {
		d.fail(n, "is empty (accepted: %d to %d status codes)", f.fewest, maxCodes)
	}
}

func (f *codes) show(int) string {
	return inLine(each(len(*f.to), func(i int) string { return strconv.Itoa((*f.to)[i]) }))
}

func (f *codes) manual() (kind, accepted string) {
	count := fmt.Sprintf("%d to %d", f.fewest, maxCodes)
	if f.fewest == 0 {
		count = fmt.Sprintf("at most %d", maxCodes)
	}
	return "list of numbers", fmt.Sprintf("%s, each %d to %d", count, f.least, f.most)
}

// exitTexts is the field of exit codes and their texts. The texts go into logs and
// onto terminals unchanged.
type exitTexts []ExitText

func (f *exitTexts) read(d *decoder, n node) {
	d.members(n, maxCodes, func(m strictjson.Member, at node) {
		code, err := strconv.ParseUint(m.Key, 10, 8)
		if err != nil || strconv.FormatUint(code, 10) != m.Key {
			d.fail(nameNode(m, at), "is not an exit code (accepted: 0 to 255)")
		}
		text := d.text(at, 200)
		if strings.ContainsFunc(text, func(r rune) bool { return !strconv.IsPrint(r) }) {
			d.fail(at, "%.64q holds a character that cannot be printed", text)
		}
		*f = append(*f, ExitText{int(code), text})
	})
}

func (f *exitTexts) show(depth int) string {
	return group(depth, "{}", each(len(*f), func(i int) string { return pair(strconv.Itoa((*f)[i].Code), quoteJSON((*f)[i].Text)) }))
}

func (f *exitTexts) manual() (kind, accepted string) {
	return "object of strings", fmt.Sprintf("at most %d; names are codes, 0 to 255; values at most 200 bytes, printable", maxCodes)
}

// expect is the field of the members that an answer must have.
type expect []Expect

func (f *expect) read(d *decoder, n node) {
	d.members(n, maxExpect, func(m strictjson.Member, at node) {
		value, ok := m.Value.Scalar()
		if !ok {
			d.fail(at, "is %v (accepted: a string, number, true, false or null)", m.Value.Kind)
		}
		*f = append(*f, Expect{m.Key, value})
	})
}

func (f *expect) show(depth int) string {
	return group(depth, "{}", each(len(*f), func(i int) string { return pair((*f)[i].Key, (*f)[i].Value) }))
}

func (f *expect) manual() (kind, accepted string) {
	return "object of scalars", fmt.Sprintf("at most %d", maxExpect)
}
