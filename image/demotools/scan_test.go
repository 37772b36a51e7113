package main

import (
	"encoding/base64"
	"encoding/hex"
	"strings"
	"testing"
)

const sample = "00112233445566778899aabbccddeeff0f1e2d3c4b5a69788796a5b4c3d2e1f0"

func TestFind(t *testing.T) {
	raw, err := hex.DecodeString(sample)
	if err != nil {
		t.Fatal(err)
	}
	encode := base64.StdEncoding.EncodeToString
	n := newNeedles(sample)
	for name, c := range map[string]struct {
		data string
		at   int
	}{
		"whole":               {sample, 0},
		"window-inside":       {"xx" + sample[7:7+window] + "yy", 2},
		"at-the-end":          {"x" + sample[tokenLen-window:], 1},
		"one-digit-too-few":   {sample[7 : 7+window-1], -1},
		"upper-case":          {strings.ToUpper(sample), 0},
		"raw-bytes":           {"\x00" + string(raw), 1},
		"base64-of-hex":       {encode([]byte(sample)), 0},
		"base64-url":          {base64.URLEncoding.EncodeToString(raw), 0},
		"base64-of-raw":       {encode(raw), 0},
		"base64-after-one":    {encode([]byte("x" + sample)), 4},
		"base64-after-two":    {encode([]byte("xx" + sample)), 4},
		"base64-after-three":  {encode([]byte("xxx" + sample)), 4},
		"empty":               {"", -1},
		"another-token":       {strings.Repeat("5", tokenLen), -1},
		"base64-of-something": {encode([]byte("Authorization: Bearer and nothing after it")), -1},
	} {
		t.Run(name, func(t *testing.T) {
			if at := n.find([]byte(c.data)); at != c.at {
				t.Errorf("got %d, want %d", at, c.at)
			}
		})
	}
}

func TestRun(t *testing.T) {
	for name, c := range map[string]struct {
		args []string
		code int
	}{
		"applet-by-name":     {[]string{"/bin/exit", "7"}, 7},
		"applet-by-argument": {[]string{"demotools", "exit", "8"}, 8},
		"unknown":            {[]string{"demotools", "nosuch"}, 2},
		"none":               {[]string{"demotools"}, 2},
		"too-few-arguments":  {[]string{"demotools", "exit"}, 2},
		"bad-number":         {[]string{"demotools", "exit", "-1"}, 1},
		"bad-mode":           {[]string{"demotools", "mkdir", t.TempDir() + "/d", "9"}, 1},
		"no-such-file":       {[]string{"demotools", "cat", t.TempDir() + "/missing"}, 1},
		"no-signal":          {[]string{"demotools", "sigsend", "0", "NOSUCH"}, 1},
	} {
		t.Run(name, func(t *testing.T) {
			var stderr strings.Builder
			if code := run(c.args, &stderr); code != c.code {
				t.Errorf("got %d, want %d (%s)", code, c.code, &stderr)
			}
		})
	}
}
