// SPDX-License-Identifier: Apache-2.0

package tokenscan

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"strings"
	"testing"
)

const sample = "00112233445566778899aabbccddeeff0f1e2d3c4b5a69788796a5b4c3d2e1f0"

func set(t testing.TB) *Set {
	t.Helper()
	s, err := New(sample)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestFind(t *testing.T) {
	raw, err := hex.DecodeString(sample)
	if err != nil {
		t.Fatal(err)
	}
	encode := base64.StdEncoding.EncodeToString
	s := set(t)
	for name, c := range map[string]struct {
		data string
		at   int
	}{
		"whole":               {sample, 0},
		"window-inside":       {"xx" + sample[7:7+windowLen] + "yy", 2},
		"at-the-end":          {"x" + sample[TokenLen-windowLen:], 1},
		"after-a-skip":        {strings.Repeat("z", 1000) + sample[7:7+windowLen], 1000},
		"one-digit-too-few":   {sample[7 : 7+windowLen-1], -1},
		"upper-case":          {strings.ToUpper(sample), 0},
		"raw-bytes":           {"\x00" + string(raw), 1},
		"base64-of-hex":       {encode([]byte(sample)), 0},
		"base64-url":          {base64.URLEncoding.EncodeToString(raw), 0},
		"base64-of-raw":       {encode(raw), 0},
		"base64-after-one":    {encode([]byte("x" + sample)), 4},
		"base64-after-two":    {encode([]byte("xx" + sample)), 4},
		"base64-after-three":  {encode([]byte("xxx" + sample)), 4},
		"empty":               {"", -1},
		"another-token":       {strings.Repeat("5", TokenLen), -1},
		"base64-of-something": {encode([]byte("Authorization: Bearer and nothing after it")), -1},
	} {
		t.Run(name, func(t *testing.T) {
			if at := s.Find([]byte(c.data)); at != c.at {
				t.Errorf("got %d, want %d", at, c.at)
			}
			for size := 1; size <= 70; size++ { // wherever the writes cut it
				stream := s.Stream()
				for part := []byte(c.data); len(part) > 0; part = part[min(size, len(part)):] {
					if n, err := stream.Write(part[:min(size, len(part))]); err != nil || n != min(size, len(part)) {
						t.Fatalf("wrote %d, %v", n, err)
					}
				}
				if stream.Found() != (c.at >= 0) {
					t.Errorf("in writes of %d: found %v", size, stream.Found())
				}
				if stream.Reset(); stream.Found() {
					t.Error("found again after a reset")
				}
			}
		})
	}
}

// TestNilStream checks that a search without a token finds nothing.
func TestNilStream(t *testing.T) {
	var s *Stream
	if n, err := s.Write([]byte(sample)); n != len(sample) || err != nil || s.Found() {
		t.Errorf("wrote %d, %v, found %v", n, err, s.Found())
	}
}

func TestNewRefuses(t *testing.T) {
	for name, token := range map[string]string{
		"empty": "", "short": sample[1:], "long": sample + "0", "no-hex": strings.Repeat("g", TokenLen), "two-short": sample[:62],
	} {
		t.Run(name, func(t *testing.T) {
			if s, err := New(token); s != nil || err == nil || len(token) > 1 && strings.Contains(err.Error(), token) {
				t.Errorf("got %v, %v", s, err)
			}
		})
	}
}

// FuzzFind checks that neither skipping nor a cut between two writes hides a window.
func FuzzFind(f *testing.F) {
	f.Add([]byte("x"+sample[3:30]), uint8(5))
	f.Add([]byte(base64.StdEncoding.EncodeToString([]byte("x"+sample))), uint8(17))
	f.Add(bytes.Repeat([]byte(sample[:15]), 9), uint8(1))
	s := set(f)
	f.Fuzz(func(t *testing.T, data []byte, cut uint8) {
		want := -1
		for i := 0; i+windowLen <= len(data) && want < 0; i++ {
			if _, ok := s.windows[[windowLen]byte(data[i:i+windowLen])]; ok {
				want = i
			}
		}
		if got := s.Find(data); got != want {
			t.Fatalf("found at %d, it is at %d", got, want)
		}
		stream, at := s.Stream(), min(int(cut), len(data))
		stream.Write(data[:at])
		stream.Write(data[at:])
		if stream.Found() != (want >= 0) {
			t.Fatalf("the stream says %v, it is at %d", stream.Found(), want)
		}
	})
}

func BenchmarkFind(b *testing.B) {
	s, data := set(b), bytes.Repeat([]byte("function (a, b) { return a.token + b; }\n"), 1<<15)
	b.SetBytes(int64(len(data)))
	for b.Loop() {
		s.Find(data)
	}
}
