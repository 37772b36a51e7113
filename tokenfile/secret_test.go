// SPDX-License-Identifier: Apache-2.0

package tokenfile

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"testing"
)

// sample is a token nobody uses; its bytes in decimal, hex and base64 are
// looked for too.
var sample = strings.Repeat("0123456789abcdef", Len/16)

func newSample() *Secret { return newText([]byte(sample)) }

// reveals tells whether out holds eight bytes of the token in a row, in any of
// the ways fmt or an encoder would write bytes.
func reveals(out string) bool {
	const n = 8
	for i := 0; i+n <= 16; i++ {
		part := sample[i : i+n]
		list := strings.Trim(fmt.Sprint([]byte(part)), "[]")
		for _, form := range []string{
			part, list, strings.ReplaceAll(list, " ", ", "), fmt.Sprintf("%x", part), fmt.Sprintf("% x", part),
			fmt.Sprintf("%X", part), strings.Trim(fmt.Sprintf("%#v", []byte(part)), "[]byte{}"),
			strings.Trim(fmt.Sprintf("%b", []byte(part)), "[]"), strings.Trim(fmt.Sprintf("%o", []byte(part)), "[]"),
		} {
			if strings.Contains(out, form) {
				return true
			}
		}
	}
	return strings.Contains(out, base64.StdEncoding.EncodeToString([]byte(sample))[:12])
}

// TestReveals: the test below is worth what this function sees.
func TestReveals(t *testing.T) {
	plain := struct{ s []byte }{[]byte(sample)}
	for _, verb := range []string{"%v", "%+v", "%#v", "%x", "%X", "%s", "%d", "%b", "%o"} {
		if out := fmt.Sprintf(verb, plain); !reveals(out) {
			t.Errorf("%s: overlooked in %s", verb, out)
		}
	}
}

// TestNoVerbPrintsASecret: a token in a log is a token in somebody's hands. A
// Secret is printed as itself, by pointer and in every kind of container.
func TestNoVerbPrintsASecret(t *testing.T) {
	s := newSample()
	type exported struct{ S Secret }
	type hidden struct {
		s Secret
		p *Secret
	}
	values := map[string]any{
		"pointer": s, "value": *s, "double-pointer": &s,
		"exported-field": exported{*s}, "pointer-to-struct": &exported{*s}, "exported-pointer": struct{ S *Secret }{s},
		"hidden-field": hidden{*s, s}, "pointer-to-hidden": &hidden{*s, s}, "embedded": struct{ Secret }{*s},
		"slice": []Secret{*s}, "pointers": []*Secret{s}, "map": map[string]Secret{"k": *s}, "key": map[Secret]int{*s: 1},
		"any": []any{s, *s}, "error": fmt.Errorf("cannot use %v: %w", s, errors.New("x")),
	}
	for name, v := range values {
		t.Run(name, func(t *testing.T) {
			for verb := rune('A'); verb <= 'z'; verb++ {
				for _, flags := range []string{"", "+", "#", "-", " ", "0", "#+", "10.3", "# "} {
					if out := fmt.Sprintf("%"+flags+string(verb), v); reveals(out) {
						t.Errorf("%%%s%c printed it", flags, verb)
					}
				}
			}
			if out := fmt.Sprint(v) + fmt.Sprintln(v); reveals(out) {
				t.Error("Sprint printed it")
			}
			if out, _ := json.Marshal(v); reveals(string(out)) {
				t.Errorf("json: %s", out)
			}
			var log bytes.Buffer
			slog.New(slog.NewJSONHandler(&log, nil)).Info("m", "v", v)
			slog.New(slog.NewTextHandler(&log, nil)).Info("m", "v", v)
			if reveals(log.String()) {
				t.Errorf("slog: %s", &log)
			}
		})
	}
	text, err := s.MarshalText()
	for what, got := range map[string]string{"String": s.String(), "GoString": s.GoString(), "MarshalText": string(text), "Format": fmt.Sprintf("%q", s)} {
		if got != redacted || err != nil {
			t.Errorf("%s is %q, %v", what, got, err)
		}
	}
}

func TestSecret(t *testing.T) {
	s := newSample()
	var out bytes.Buffer
	if n, err := s.WriteTo(&out); n != Len || err != nil || out.String() != sample {
		t.Errorf("wrote %d bytes, %v", n, err)
	}
	var _ io.WriterTo = s
	if s.Sum() != sha256.Sum256([]byte(sample)) || string(s.Bytes()) != sample {
		t.Error("Sum or Bytes are not the token's")
	}
	for name, c := range map[string]struct {
		text string
		want bool
	}{
		"same": {sample, true}, "empty": {"", false}, "shorter": {sample[1:], false}, "longer": {sample + "0", false},
		"first-differs": {"1" + sample[1:], false}, "last-differs": {sample[:Len-1] + "0", false},
	} {
		if s.Equal([]byte(c.text)) != c.want {
			t.Errorf("%s: Equal is not %v", name, c.want)
		}
	}
}

// TestWipe: the bytes are overwritten where they were, for every copy.
func TestWipe(t *testing.T) {
	s := newSample()
	memory, twin := s.Bytes(), *s
	s.Wipe()
	s.Wipe() // twice does no harm
	if !bytes.Equal(memory, make([]byte, Len)) {
		t.Error("the token is still in memory")
	}
	for name, s := range map[string]Secret{"wiped": *s, "twin": twin, "zero": {}} {
		var out bytes.Buffer
		if n, err := s.WriteTo(&out); n != 0 || err == nil || out.Len() != 0 {
			t.Errorf("%s: wrote %d bytes, %v", name, n, err)
		}
		if s.Equal(nil) || s.Equal([]byte{}) || s.Equal(make([]byte, Len)) || s.Equal([]byte(sample)) || len(s.Bytes()) != 0 {
			t.Errorf("%s: still a token", name)
		}
		s.Wipe()
	}
}

type brokenWriter struct{}

func (brokenWriter) Write([]byte) (int, error) { return 3, io.ErrClosedPipe }

func TestWriteToBroken(t *testing.T) {
	if n, err := newSample().WriteTo(brokenWriter{}); n != 3 || !errors.Is(err, io.ErrClosedPipe) {
		t.Errorf("got %d, %v", n, err)
	}
}
