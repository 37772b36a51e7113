// SPDX-License-Identifier: Apache-2.0

package config

import (
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/gateway-init/gateway-init/internal/strictjson"
)

// The ranges of durations. Below its range a duration would mean "now", and above
// it "never".

func (d *decoder) grace(n node, to *time.Duration) {
	d.duration(n, to, 100*time.Millisecond, time.Hour)
}

func (d *decoder) backoff(n node, to *time.Duration) {
	d.duration(n, to, 10*time.Millisecond, time.Hour)
}

func (d *decoder) resetAfter(n node, to *time.Duration) {
	d.duration(n, to, time.Second, 24*time.Hour)
}

func (d *decoder) timeout(n node, to *time.Duration) {
	d.duration(n, to, 100*time.Millisecond, time.Hour)
}

func (d *decoder) interval(n node, to *time.Duration) {
	d.duration(n, to, 100*time.Millisecond, 24*time.Hour)
}

func (d *decoder) duration(n node, to *time.Duration, least, most time.Duration) {
	v, err := time.ParseDuration(n.Str)
	switch {
	case n.Kind != strictjson.String:
		d.fail(n, "is %v, not a duration in quotes (accepted: %s to %s)", n.Kind, shortDuration(least), shortDuration(most))
	case err != nil:
		d.fail(n, "%.64q is not a duration (accepted: %s to %s)", n.Str, shortDuration(least), shortDuration(most))
	case v < least || v > most:
		d.fail(n, "%.64q is out of range (accepted: %s to %s)", n.Str, shortDuration(least), shortDuration(most))
	}
	*to = v
}

// shortDuration returns a duration without zero units at its end, such as 1h for 1h0m0s.
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

func (d *decoder) port(n node, to *uint16) {
	*to = uint16(d.whole(n, 1, 65535))
}

func (d *decoder) nofile(n node, to *uint64) {
	*to = d.whole(n, 16, 1<<20)
}

// codes takes a list of codes. An empty list gives nil.
func (d *decoder) codes(n node, to *[]int, least, most uint64) {
	*to = nil
	d.list(n, maxCodes, func(n node) { *to = append(*to, int(d.whole(n, least, most))) })
}

// exitTexts takes an object of exit codes and their texts. The texts go into logs
// and onto terminals unchanged.
func (d *decoder) exitTexts(n node, to *[]ExitText) {
	*to = nil
	if !d.is(n, strictjson.Object) || !d.atMost(n, len(n.Members), maxCodes) {
		return
	}
	for _, m := range n.Members {
		e, at := ExitText{}, node{m.Value, join(n.key, m.Key)}
		code, err := strconv.ParseUint(m.Key, 10, 8)
		if err != nil || strconv.FormatUint(code, 10) != m.Key {
			d.fail(node{&strictjson.Value{Line: m.Line, Col: m.Col}, at.key}, "is not an exit code (accepted: 0 to 255)")
		}
		d.text(at, &e.Text, 200)
		if strings.ContainsFunc(e.Text, func(r rune) bool { return !strconv.IsPrint(r) }) {
			d.fail(at, "%.64q holds a character that cannot be printed", e.Text)
		}
		e.Code = int(code)
		*to = append(*to, e)
	}
}

// statuses takes HTTP status codes, at least one.
func (d *decoder) statuses(n node, to *[]int) {
	if d.codes(n, to, 100, 599); len(*to) == 0 {
		d.fail(n, "is empty (accepted: 1 to %d status codes)", maxCodes)
	}
}

func (d *decoder) boolean(n node, to *bool) {
	if d.is(n, strictjson.Bool) {
		*to = n.Bool
	}
}

// text takes a string of at most most bytes without control characters.
func (d *decoder) text(n node, to *string, most int) {
	if !d.is(n, strictjson.String) {
		return
	}
	if len(n.Str) > most {
		d.fail(n, "is %d bytes long (accepted: at most %d)", len(n.Str), most)
	}
	if strings.ContainsFunc(n.Str, func(r rune) bool { return r < ' ' || r == 0x7f }) {
		d.fail(n, "%.64q holds a control character", n.Str)
	}
	*to = n.Str
}

func (d *decoder) choice(n node, to *string, accepted ...string) {
	if d.is(n, strictjson.String) && !slices.Contains(accepted, n.Str) {
		d.fail(n, "%.64q is unknown (accepted: %s)", n.Str, strings.Join(accepted, ", "))
	}
	*to = n.Str
}

func (d *decoder) logFormat(n node, to *string) { d.choice(n, to, "json", "text") }

// path takes the path of a file. It must be absolute, and clean because it is
// walked name by name.
func (d *decoder) path(n node, to *string) {
	if d.text(n, to, 1024); !path.IsAbs(*to) || path.Clean(*to) != *to {
		d.fail(n, "%.64q is not an absolute path without //, . and ..", *to)
	}
}

// httpPath takes a path that goes into a request line unchanged.
func (d *decoder) httpPath(n node, to *string) {
	d.text(n, to, 1024)
	bad := strings.ContainsFunc(*to, func(r rune) bool { return r <= ' ' || r >= 0x7f })
	if bad || !strings.HasPrefix(*to, "/") {
		d.fail(n, "%.64q is not a request path (accepted: / and printable ASCII without spaces)", *to)
	}
}

// expect takes an object of scalars.
func (d *decoder) expect(n node, to *[]Expect) {
	*to = nil
	if !d.is(n, strictjson.Object) || !d.atMost(n, len(n.Members), maxExpect) {
		return
	}
	for _, m := range n.Members {
		value, ok := m.Value.Scalar()
		if !ok {
			d.fail(node{m.Value, join(n.key, m.Key)}, "is %v (accepted: a string, number, true, false or null)", m.Value.Kind)
		}
		*to = append(*to, Expect{m.Key, value})
	}
}
