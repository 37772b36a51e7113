// SPDX-License-Identifier: Apache-2.0

package boot

import (
	"bytes"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/rs/zerolog"
)

// TestTextLog checks the text of an event. No value can look like another member or
// line, because the agent chooses some of them (a path, a process's name).
func TestTextLog(t *testing.T) {
	for name, c := range map[string]struct {
		log  func(*zerolog.Event)
		want string
	}{
		"words":          {func(e *zerolog.Event) { e.Str("event", "gateway-started").Int("pid", 7).Send() }, "level=info event=gateway-started pid=7"},
		"message":        {func(e *zerolog.Event) { e.Msg("it never served") }, `level=info message="it never served"`},
		"empty":          {func(e *zerolog.Event) { e.Str("a", "").Bool("b", true).Send() }, `level=info a="" b=true`},
		"newline":        {func(e *zerolog.Event) { e.Str("a", "x\nlevel=error").Send() }, `level=info a="x\nlevel=error"`},
		"member":         {func(e *zerolog.Event) { e.Str("a", "x b=y").Send() }, `level=info a="x b=y"`},
		"equals":         {func(e *zerolog.Event) { e.Str("a", "b=y").Send() }, `level=info a="b=y"`},
		"quotes":         {func(e *zerolog.Event) { e.Str("a", `","b":"y`).Send() }, `level=info a="\",\"b\":\"y"`},
		"backslash":      {func(e *zerolog.Event) { e.Str("a", `\`).Str("b", `\\"`).Send() }, `level=info a="\\" b="\\\\\""`},
		"braces":         {func(e *zerolog.Event) { e.Str("a", "{x,y}").Str("b", "{").Send() }, `level=info a={x,y} b={`},
		"escape":         {func(e *zerolog.Event) { e.Str("a", "\x1b[2J").Send() }, `level=info a="\u001b[2J"`},
		"delete":         {func(e *zerolog.Event) { e.Str("a", "\x7f").Send() }, `level=info a="\u007f"`},
		"error":          {func(e *zerolog.Event) { e.Err(errors.New("open /a: no such file")).Send() }, `level=info error="open /a: no such file"`},
		"negative":       {func(e *zerolog.Event) { e.Int("a", -1).Uint64("b", 1<<63).Send() }, "level=info a=-1 b=9223372036854775808"},
		"colon-in-value": {func(e *zerolog.Event) { e.Str("addr", "[::1]:18789").Send() }, "level=info addr=[::1]:18789"},
	} {
		t.Run(name, func(t *testing.T) {
			var out bytes.Buffer
			log := zerolog.New(textWriter{&out})
			c.log(log.Info())
			if out.String() != c.want+"\n" {
				t.Errorf("got  %q\nwant %q", out.String(), c.want)
			}
		})
	}
}

// TestTextWriterCount checks that a writer whose log fails says that it took the
// whole line.
func TestTextWriterCount(t *testing.T) {
	var out bytes.Buffer
	line := []byte(`{"a":"long enough to shrink"}` + "\n")
	if n, err := (textWriter{&out}).Write(line); n != len(line) || err != nil {
		t.Errorf("got %d, %v", n, err)
	}
}

// FuzzTextLog checks that one event is one line, whatever its values, and that its
// members can be read back: the same names and values in the same order.
func FuzzTextLog(f *testing.F) {
	f.Add("gateway-started", "x y", "\n", int64(5))
	f.Add(`"a":`, `\`, "a=b", int64(-1))
	f.Fuzz(func(t *testing.T, a, b, c string, n int64) {
		var text, plain bytes.Buffer
		for _, log := range []zerolog.Logger{zerolog.New(textWriter{&text}), zerolog.New(&plain)} {
			log.Warn().Str("event", a).Str("detail", b).Int64("n", n).Err(errors.New(c)).Send()
		}
		var want struct {
			Event, Detail, Error string
			N                    json.Number
		}
		if err := json.Unmarshal(plain.Bytes(), &want); err != nil {
			t.Fatal(err)
		}
		line, ok := strings.CutSuffix(text.String(), "\n")
		if !ok || strings.Contains(line, "\n") {
			t.Fatalf("not one line: %q", text.String())
		}
		got := members(t, line)
		if all := []string{"level", "warn", "event", want.Event, "detail", want.Detail, "n", want.N.String(), "error", want.Error}; !slices.Equal(got, all) {
			t.Fatalf("got %q, want %q", got, all)
		}
	})
}

// members reads key=value pairs. A value ends at a space, or is a quoted string.
func members(t *testing.T, line string) (out []string) {
	for line != "" {
		key, rest, ok := strings.Cut(line, "=")
		if !ok {
			t.Fatalf("no = in %q", line)
		}
		out = append(out, key)
		if !strings.HasPrefix(rest, `"`) {
			value, more, _ := strings.Cut(rest, " ")
			out, line = append(out, value), more
			continue
		}
		d := json.NewDecoder(strings.NewReader(rest))
		var value string
		if err := d.Decode(&value); err != nil {
			t.Fatalf("%v in %q", err, rest)
		}
		out, line = append(out, value), strings.TrimPrefix(rest[d.InputOffset():], " ")
	}
	return out
}
