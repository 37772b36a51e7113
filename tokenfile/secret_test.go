// SPDX-License-Identifier: Apache-2.0

package tokenfile

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
)

// sample is a token that is not in use. The tests look for its bytes in decimal, hex
// and base64, too.
var sample = strings.Repeat("0123456789abcdef", Len/16)

func newSample() *Secret { return newText([]byte(sample)) }

// reveals reports whether out holds eight bytes of the token in a row, in any form in
// which fmt or an encoder writes bytes.
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

// TestReveals checks reveals, on which the test below relies.
func TestReveals(t *testing.T) {
	plain := struct{ s []byte }{[]byte(sample)}
	for _, verb := range []string{"%v", "%+v", "%#v", "%x", "%X", "%s", "%d", "%b", "%o"} {
		if out := fmt.Sprintf(verb, plain); !reveals(out) {
			t.Errorf("%s: overlooked in %s", verb, out)
		}
	}
}

// TestNoVerbPrintsASecret checks a Secret as itself, by pointer and in every kind of
// container. Every reader of a log would have the token.
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
	if s.Sum() != sha256.Sum256([]byte(sample)) || string(s.Bytes()) != sample {
		t.Error("Sum or Bytes are not the token's")
	}
}

// TestWipe checks that the bytes are overwritten in place, for every copy.
func TestWipe(t *testing.T) {
	s := newSample()
	memory, twin := s.Bytes(), *s
	s.Wipe()
	s.Wipe() // a second call does no harm
	if !bytes.Equal(memory, make([]byte, Len)) {
		t.Error("the token is still in memory")
	}
	for name, s := range map[string]Secret{"wiped": *s, "twin": twin, "zero": {}} {
		if len(s.Bytes()) != 0 {
			t.Errorf("%s: still a token", name)
		}
		s.Wipe()
	}
}
