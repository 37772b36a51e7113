// SPDX-License-Identifier: Apache-2.0

package strictjson

import (
	"encoding/json"
	"errors"
	"reflect"
	"strings"
	"testing"
)

func TestParseRefuses(t *testing.T) {
	for name, c := range map[string]struct{ text, want string }{
		"empty":              {"", "1:1: the text ends where a value should be"},
		"trailing-comma":     {`{"a":1,}`, "1:8: expected a key"},
		"trailing-comma-arr": {`[1,]`, "1:4: not a JSON value"},
		"duplicate-key":      {"{\"a\":1,\n \"a\":2}", `2:2: duplicate key "a"`},
		"escaped-duplicate":  {`{"a":1,"\u0061":2}`, "duplicate key"},
		"comment":            {"{ // x\n}", "1:3: expected a key"},
		"bare-key":           {`{a:1}`, "1:2: expected a key"},
		"no-colon":           {`{"a" 1}`, "1:6: expected ':'"},
		"no-comma":           {`{"a":1 "b":2}`, "1:8: expected ','"},
		"no-comma-array":     {`[1 2]`, "1:4: expected ','"},
		"bad-utf8":           {"\"\xff\"", "1:2: invalid UTF-8"},
		"bad-utf8-in-key":    {"{\"\xff\":1}", "1:3: invalid UTF-8"},
		"surrogate-in-utf8":  {"\"\xed\xa0\x80\"", "1:2: invalid UTF-8"},
		"column-in-bytes":    {"[\"é\" x]", "1:7: expected ','"},
		"bom":                {"\ufeff{}", "1:1: not a JSON value"},
		"nul":                {"\x00", "1:1: not a JSON value"},
		"control-in-key":     {"{\"a\tb\":1}", "1:4: control character"},
		"bad-escape-in-key":  {`{"\q":1}`, "unknown escape"},
		"short-second-u":     {`"\ud800\u0"`, "four hex digits"},
		"low-surrogate":      {`"\udc00"`, "lone surrogate"},
		"no-value":           {`{"a":}`, "1:6: not a JSON value"},
		"half-word":          {`tru`, "1:1: not a JSON value"},
		"infinity":           {`-Infinity`, "1:2: a number needs a digit"},
		"minus-zero-one":     {`-01`, "1:3: a number must not start with 0"},
		"plus":               {`+1`, "not a JSON value"},
		"open-array":         {`[`, "the text ends"},
		"open-object":        {`{`, "expected a key"},
		"lone-surrogate":     {`"\ud800"`, "lone surrogate"},
		"wrong-low":          {`"\ud800\u0041"`, "lone surrogate"},
		"short-u":            {`"\u00"`, "four hex digits"},
		"signed-u":           {`"\u+041"`, "four hex digits"},
		"unknown-escape":     {`"\x"`, "unknown escape"},
		"control":            {"\"a\nb\"", "1:3: control character"},
		"open-string":        {`"abc`, "ends inside a string"},
		"leading-zero":       {`01`, "must not start with 0"},
		"no-digit":           {`-`, "needs a digit"},
		"no-fraction":        {`1.`, "needs a digit"},
		"no-exponent":        {`1e`, "needs a digit"},
		"nan":                {`NaN`, "not a JSON value"},
		"two-values":         {`{} {}`, "1:4: text after"},
		"too-deep":           {strings.Repeat("[", 33) + strings.Repeat("]", 33), "1:33: nested more than 32 levels"},
		"much-too-deep":      {strings.Repeat(`{"a":[`, 1<<20), "32 levels"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := Parse([]byte(c.text))
			var se *SyntaxError
			if !errors.As(err, &se) || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
}

func TestScalar(t *testing.T) {
	v, err := Parse([]byte(`[null,true,false,-1.5e3,"a\"\u00e9\ud83d\ude00",[],{}]`))
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"null", "true", "false", "-1.5e3", `"a\"é😀"`, "", ""}
	for i, item := range v.Items {
		if got, ok := item.Scalar(); got != want[i] || ok != (i < 5) {
			t.Errorf("item %d (%v): got %q, %v", i, item.Kind, got, ok)
		}
	}
}

func TestParsePositions(t *testing.T) {
	v, err := Parse([]byte("\r\n{\n \"é\": [1,\n\t\"x\"], \"b\" : {}}\n"))
	if err != nil {
		t.Fatal(err)
	}
	first, second := v.Members[0], v.Members[1]
	for name, c := range map[string]struct{ line, col, wantLine, wantCol int }{
		"object":       {v.Line, v.Col, 2, 1},
		"key":          {first.Line, first.Col, 3, 2},
		"array":        {first.Value.Line, first.Value.Col, 3, 8},
		"item":         {first.Value.Items[1].Line, first.Value.Items[1].Col, 4, 2},
		"second-key":   {second.Line, second.Col, 4, 8},
		"second-value": {second.Value.Line, second.Value.Col, 4, 14},
	} {
		if c.line != c.wantLine || c.col != c.wantCol {
			t.Errorf("%s: got %d:%d, want %d:%d", name, c.line, c.col, c.wantLine, c.wantCol)
		}
	}
}

// TestOffsets checks that the text between the offsets of a value is that value.
func TestOffsets(t *testing.T) {
	text := " {\"a\" : [1, \"é\\n\" ,{}], \"b\":-1.5e3 ,\"c\":null}\n"
	v, err := Parse([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	a := v.Get("a")
	for want, got := range map[string]*Value{
		text[1 : len(text)-1]: v, `[1, "é\n" ,{}]`: a, "1": a.Items[0], `"é\n"`: a.Items[1], "{}": a.Items[2],
		"-1.5e3": v.Get("b"), "null": v.Get("c"),
	} {
		if cut := text[got.Start:got.End]; cut != want {
			t.Errorf("got %q, want %q", cut, want)
		}
	}
	if v.Get("d") != nil || a.Get("a") != nil {
		t.Error("got a member that is not there")
	}
}

func TestParseDeepestAccepted(t *testing.T) {
	if _, err := Parse([]byte(strings.Repeat("[", 32) + "1" + strings.Repeat("]", 32))); err != nil {
		t.Error(err)
	}
}

func TestKindString(t *testing.T) {
	for k := Null; k <= Object; k++ {
		if s := k.String(); s == "" || strings.HasPrefix(s, "kind") {
			t.Errorf("kind %d is called %q", uint8(k), s)
		}
	}
	if s := (Object + 1).String(); s != "kind 6" {
		t.Errorf("got %q", s)
	}
}

// FuzzParse checks that accepted text means the same to encoding/json.
func FuzzParse(f *testing.F) {
	for _, s := range []string{`{"a":[1,true,null,"x\n\ud83d\ude00"],"b":{"c":-0.5e-7}}`, `"\u0000"`, "[[[]]]", " 0 "} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		v, err := Parse(data)
		if err != nil {
			var se *SyntaxError
			if !errors.As(err, &se) || se.Line < 1 || se.Col < 1 || strings.ContainsAny(se.Msg, "\n\r") || len(se.Msg) > 1000 {
				t.Fatalf("not one short line with a position: %v", err)
			}
			return
		}
		if !json.Valid(data) {
			t.Fatal("accepted what encoding/json calls invalid")
		}
		d := json.NewDecoder(strings.NewReader(string(data)))
		d.UseNumber()
		var want any
		if err := d.Decode(&want); err != nil {
			t.Fatalf("accepted what encoding/json refuses: %v", err)
		}
		if got := plain(v); !reflect.DeepEqual(got, want) {
			t.Fatalf("got %#v, want %#v", got, want)
		}
		if cut, err := Parse(data[v.Start:v.End]); err != nil || !reflect.DeepEqual(plain(cut), want) {
			t.Fatalf("its own text is something else: %v", err)
		}
	})
}

func plain(v *Value) any {
	switch v.Kind {
	case Bool:
		return v.Bool
	case Number:
		return json.Number(v.Num)
	case String:
		return v.Str
	case Array:
		out := []any{}
		for _, i := range v.Items {
			out = append(out, plain(i))
		}
		return out
	case Object:
		out := map[string]any{}
		for _, m := range v.Members {
			out[m.Key] = plain(m.Value)
		}
		return out
	}
	return nil
}
