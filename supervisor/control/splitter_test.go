// SPDX-License-Identifier: Apache-2.0

package control

import (
	"bytes"
	"slices"
	"strings"
	"testing"
)

// lines feeds data in pieces of size bytes. "\x00too-long" stands for nil.
func lines(s *splitter, data string, size int) (out []string) {
	for piece := range slices.Chunk([]byte(data), size) {
		s.feed(piece, func(line []byte) {
			if line == nil {
				out = append(out, tooLong)
				return
			}
			out = append(out, string(line))
		})
	}
	return out
}

const tooLong = "\x00too-long"

// TestSplitter checks that the next frame is found after any input, in any pieces.
func TestSplitter(t *testing.T) {
	full := strings.Repeat("x", maxFrame-1)
	for name, c := range map[string]struct {
		data string
		want []string
	}{
		"nothing":           {"", nil},
		"one":               {"a\n", []string{"a"}},
		"three":             {"a\nb\nc\n", []string{"a", "b", "c"}},
		"unfinished":        {"a\nb", []string{"a"}},
		"empty-lines":       {"\n\n", []string{"", ""}},
		"not-text":          {"\x00\xff\n", []string{"\x00\xff"}},
		"longest":           {full + "\nb\n", []string{full, "b"}},
		"one-too-long":      {full + "x\nb\n", []string{tooLong, "b"}},
		"very-long":         {strings.Repeat("x", 10*maxFrame) + "\nb\n", []string{tooLong, "b"}},
		"very-long-no-end":  {strings.Repeat("x", 10*maxFrame), nil},
		"two-too-long":      {full + "x\n" + full + "y\nb\n", []string{tooLong, tooLong, "b"}},
		"empty-after-long":  {full + "x\n\nb\n", []string{tooLong, "", "b"}},
		"longest-after-bad": {full + "xyz\n" + full + "\n", []string{tooLong, full}},
	} {
		t.Run(name, func(t *testing.T) {
			for _, size := range []int{1, 7, maxFrame - 1, maxFrame, maxFrame + 1, 1 << 16} {
				if got := lines(new(splitter), c.data, size); !slices.Equal(got, c.want) {
					t.Errorf("in pieces of %d: %.80q, want %.80q", size, got, c.want)
				}
			}
		})
	}
}

// FuzzSplitter checks that the frames are those of a plain split at newlines, in any
// two pieces. Lines without room for their newline are reported as too long, and a
// frame after a newline is always found.
func FuzzSplitter(f *testing.F) {
	f.Add([]byte("a\nb\n"), 1)
	f.Add([]byte(strings.Repeat("x", 600)+"\nb"), 511)
	f.Fuzz(func(t *testing.T, data []byte, at int) {
		if at < 0 || at > len(data) {
			at = len(data) / 2
		}
		data = append(data, "\nlast\n"...)
		var want []string
		all := bytes.Split(data, []byte("\n"))
		for _, line := range all[:len(all)-1] {
			if len(line) >= maxFrame {
				line = []byte(tooLong)
			}
			want = append(want, string(line))
		}
		var s splitter
		got := append(lines(&s, string(data[:at]), maxFrame), lines(&s, string(data[at:]), maxFrame)...)
		if !slices.Equal(got, want) {
			t.Fatalf("got %q, want %q", got, want)
		}
		if got[len(got)-1] != "last" {
			t.Fatalf("the frame after it was lost: %q", got)
		}
	})
}
