// SPDX-License-Identifier: Apache-2.0

package control

import (
	"bytes"
	"errors"
	"strings"
	"testing"
)

// nonceOf is a valid nonce for each letter.
func nonceOf(hexDigit string) string { return strings.Repeat(hexDigit, NonceLen) }

// TestEncodeDecode checks that each request comes back unchanged.
func TestEncodeDecode(t *testing.T) {
	for name, c := range map[string]struct {
		r    Request
		want string
	}{
		"restart":      {Request{Action: Restart}, "restart"},
		"rotate":       {Request{Action: Restart, Rotate: true}, "restart rotate=1"},
		"drain":        {Request{Action: Restart, Drain: 1}, "restart drain=1"},
		"rotate-drain": {Request{Action: Restart, Rotate: true, Drain: MaxDrain}, "restart rotate=1 drain=86400"},
		"recover":      {Request{Action: Recover}, "recover"},
		"stop":         {Request{Action: Stop}, "stop"},
		"start":        {Request{Action: Start}, "start"},
		"probe":        {Request{Action: Probe}, "probe"},
		"reload":       {Request{Action: Reload}, "reload"},
	} {
		t.Run(name, func(t *testing.T) {
			c.r.Nonce = nonceOf("a")
			frame, err := Encode(c.r)
			check(t, err)
			if want := "v1 " + c.r.Nonce + " " + c.want + "\n"; string(frame) != want {
				t.Errorf("encoded as %q, want %q", frame, want)
			}
			if got, err := Decode(bytes.TrimSuffix(frame, []byte("\n"))); err != nil || got != c.r {
				t.Errorf("came back as %+v, %v", got, err)
			}
		})
	}
	got, err := Decode([]byte("v1 " + nonceOf("a") + " restart drain=5 rotate=1"))
	if want := (Request{Nonce: nonceOf("a"), Action: Restart, Rotate: true, Drain: 5}); err != nil || got != want {
		t.Errorf("the other order: %+v, %v", got, err)
	}
}

// TestEncodeRefuses checks that a request that is no frame is not written.
func TestEncodeRefuses(t *testing.T) {
	for name, r := range map[string]Request{
		"no-nonce":       {Action: Probe},
		"upper-case":     {Nonce: nonceOf("A"), Action: Probe},
		"no-action":      {Nonce: nonceOf("a")},
		"unknown":        {Nonce: nonceOf("a"), Action: "reboot"},
		"injected":       {Nonce: nonceOf("a"), Action: "probe\nv1"},
		"drain-negative": {Nonce: nonceOf("a"), Action: Restart, Drain: -1},
		"drain-too-long": {Nonce: nonceOf("a"), Action: Restart, Drain: MaxDrain + 1},
		"rotate-stop":    {Nonce: nonceOf("a"), Action: Stop, Rotate: true},
		"drain-probe":    {Nonce: nonceOf("a"), Action: Probe, Drain: 1},
	} {
		t.Run(name, func(t *testing.T) {
			if frame, err := Encode(r); err == nil {
				t.Errorf("encoded as %q", frame)
			}
		})
	}
}

// TestDecodeRefuses checks that half a frame, another version or an unknown key
// causes nothing, and that the nonce is returned if it can be read.
func TestDecodeRefuses(t *testing.T) {
	n := nonceOf("a")
	for name, c := range map[string]struct {
		line  string
		err   error
		nonce bool // readable
	}{
		"empty":              {"", ErrMalformed, false},
		"only-version":       {"v1", ErrMalformed, false},
		"other-version":      {"v2 " + n + " restart", ErrMalformed, false},
		"no-version":         {n + " restart", ErrMalformed, false},
		"leading-space":      {" v1 " + n + " restart", ErrMalformed, false},
		"short-nonce":        {"v1 " + n[1:] + " restart", ErrMalformed, false},
		"long-nonce":         {"v1 " + n + "a restart", ErrMalformed, false},
		"upper-nonce":        {"v1 " + nonceOf("A") + " restart", ErrMalformed, false},
		"path-nonce":         {"v1 ../" + n[3:] + " restart", ErrMalformed, false},
		"tab":                {"v1\t" + n + " restart", ErrMalformed, false},
		"nul":                {"v1 " + n + " restart\x00", ErrMalformed, false},
		"carriage-return":    {"v1 " + n + " restart\r", ErrMalformed, false},
		"not-ascii":          {"v1 " + n + " réstart", ErrMalformed, false},
		"too-long":           {"v1 " + n + " restart " + strings.Repeat("x", maxFrame), ErrMalformed, false},
		"no-action":          {"v1 " + n, ErrMalformed, true},
		"empty-action":       {"v1 " + n + " ", ErrMalformed, true},
		"trailing-space":     {"v1 " + n + " restart ", ErrMalformed, true},
		"two-spaces":         {"v1 " + n + " restart  rotate=1", ErrMalformed, true},
		"upper-action":       {"v1 " + n + " RESTART", ErrUnknownAction, true},
		"unknown-action":     {"v1 " + n + " reboot", ErrUnknownAction, true},
		"key-without-value":  {"v1 " + n + " restart rotate", ErrMalformed, true},
		"empty-value":        {"v1 " + n + " restart rotate=", ErrMalformed, true},
		"empty-key":          {"v1 " + n + " restart =1", ErrMalformed, true},
		"rotate-zero":        {"v1 " + n + " restart rotate=0", ErrMalformed, true},
		"rotate-twice":       {"v1 " + n + " restart rotate=1 rotate=1", ErrMalformed, true},
		"drain-zero":         {"v1 " + n + " restart drain=0", ErrMalformed, true},
		"drain-octal":        {"v1 " + n + " restart drain=010", ErrMalformed, true},
		"drain-signed":       {"v1 " + n + " restart drain=+5", ErrMalformed, true},
		"drain-negative":     {"v1 " + n + " restart drain=-5", ErrMalformed, true},
		"drain-fraction":     {"v1 " + n + " restart drain=1.5", ErrMalformed, true},
		"drain-too-long":     {"v1 " + n + " restart drain=86401", ErrMalformed, true},
		"drain-overflow":     {"v1 " + n + " restart drain=18446744073709551617", ErrMalformed, true},
		"drain-twice":        {"v1 " + n + " restart drain=5 drain=5", ErrMalformed, true},
		"unknown-key":        {"v1 " + n + " restart force=1", ErrUnknownAction, true},
		"key-of-another":     {"v1 " + n + " stop rotate=1", ErrUnknownAction, true},
		"late-key-is-no-use": {"v1 " + n + " restart rotate=1 force=1", ErrUnknownAction, true},
	} {
		t.Run(name, func(t *testing.T) {
			want := Request{}
			if c.nonce {
				want.Nonce = n
			}
			r, err := Decode([]byte(c.line))
			if !errors.Is(err, c.err) || r != want {
				t.Errorf("got %+v, %v; want %+v, %v", r, err, want, c.err)
			}
		})
	}
	// The longest line has 511 bytes, and the newline is the 512th.
	longest := "v1 " + n + " restart "
	longest += strings.Repeat("x", maxFrame-1-len(longest))
	if _, err := Decode([]byte(longest)); !errors.Is(err, ErrMalformed) || len(longest) != maxFrame-1 {
		t.Errorf("%d bytes: %v", len(longest), err)
	}
	longest = strings.Replace(longest, " restart x", " restart x=", 1)[:maxFrame-1]
	if _, err := Decode([]byte(longest)); !errors.Is(err, ErrUnknownAction) {
		t.Errorf("%d bytes with a key: %v", len(longest), err)
	}
}

// TestMergeable checks that only equal restarts merge. Otherwise a plain restart
// would be told that the token was replaced, or a rotation that it was not.
func TestMergeable(t *testing.T) {
	kinds := []Request{
		{Action: Restart}, {Action: Restart, Rotate: true}, {Action: Restart, Drain: 5}, {Action: Restart, Drain: 6},
		{Action: Recover}, {Action: Stop}, {Action: Start}, {Action: Probe},
	}
	for i, a := range kinds {
		for k, b := range kinds {
			a.Nonce, b.Nonce = nonceOf("a"), nonceOf("b")
			if got := a.isMergeable(b); got != (i == k) {
				t.Errorf("%+v with %+v: %v", a, b, got)
			}
		}
	}
}

// FuzzFrame checks that an accepted frame can be encoded and is decoded as the same
// request, and as the same bytes if its keys are in our order. A refused frame gives
// only a valid nonce, and an error without any of its bytes.
func FuzzFrame(f *testing.F) {
	n := nonceOf("0")
	for _, tail := range []string{" restart", " restart rotate=1 drain=5", " restart drain=5 rotate=1", " stop", " probe x=1", ""} {
		f.Add([]byte("v1 " + n + tail))
	}
	f.Fuzz(func(t *testing.T, line []byte) {
		r, err := Decode(line)
		if err != nil {
			if err != ErrMalformed && err != ErrUnknownAction {
				t.Fatalf("refused with %v", err)
			}
			if r != (Request{Nonce: r.Nonce}) || r.Nonce != "" && !isNonce(r.Nonce) {
				t.Fatalf("refused, but carries %+v", r)
			}
			return
		}
		frame, err := Encode(r)
		if err != nil || len(frame) > maxFrame || frame[len(frame)-1] != '\n' || bytes.Count(frame, []byte("\n")) != 1 {
			t.Fatalf("%+v encodes as %q, %v", r, frame, err)
		}
		again, err := Decode(frame[:len(frame)-1])
		if err != nil || again != r {
			t.Fatalf("%+v came back as %+v, %v", r, again, err)
		}
		turned := bytes.Contains(line, []byte("drain=")) && bytes.HasSuffix(line, []byte(" rotate=1"))
		if !turned && !bytes.Equal(frame[:len(frame)-1], line) {
			t.Fatalf("%q came back as %q", line, frame)
		}
	})
}
