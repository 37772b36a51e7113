// SPDX-License-Identifier: Apache-2.0

// Package tokenscan finds a gateway token in bytes, in the forms that a leak takes:
// in lower or upper case, as raw bytes, and inside base64 of any alignment. A part
// of windowLen bytes is a leak, because it holds 64 bits of the secret or more.
package tokenscan

import (
	"encoding/base64"
	"encoding/hex"
	"errors"
	"strings"
)

const (
	TokenLen  = 64 // hex digits
	windowLen = 16 // bytes of a form that are a leak
)

// block is the number of bytes that decide whether a window can be at a place.
const block = 3

// Set holds all windows of all forms of one token. It holds the secret, so it is
// not for printing, and it ends with the process.
type Set struct {
	windows map[[windowLen]byte]struct{}
	blocks  [1 << 16]bool // by hash; true if some form has these three bytes
}

// New returns the set of a token of 64 hex digits.
func New(token string) (*Set, error) {
	raw, err := hex.DecodeString(token)
	if err != nil || len(token) != TokenLen { // the error would quote the token
		return nil, errors.New("it is not a token of 64 hex digits")
	}
	s := &Set{windows: map[[windowLen]byte]struct{}{}}
	s.add(strings.ToLower(token))
	s.add(strings.ToUpper(token))
	s.add(string(raw))
	// Base64 of a text that holds the token somewhere has one of three alignments.
	for _, form := range []string{strings.ToLower(token), string(raw)} {
		for skip := range 3 {
			part := form[skip:]
			part = part[:len(part)-len(part)%3]
			s.add(base64.StdEncoding.EncodeToString([]byte(part)))
			s.add(base64.URLEncoding.EncodeToString([]byte(part)))
		}
	}
	return s, nil
}

func (s *Set) add(form string) {
	for i := 0; i+windowLen <= len(form); i++ {
		s.windows[[windowLen]byte([]byte(form[i:i+windowLen]))] = struct{}{}
	}
	for i := 0; i+block <= len(form); i++ {
		s.blocks[hash(form[i], form[i+1], form[i+2])] = true
	}
}

func hash(a, b, c byte) uint16 { return uint16(a)<<8 ^ uint16(b)<<4 ^ uint16(c) }

// Find returns the offset of the first window in data, or -1. It looks at the last
// three bytes of the place where a window could be. If no form has these bytes,
// Find skips all windows that would hold them. An image of a gigabyte then takes a
// second, not half a minute.
func (s *Set) Find(data []byte) int {
	for i := 0; i+windowLen <= len(data); {
		if end := i + windowLen; !s.blocks[hash(data[end-3], data[end-2], data[end-1])] {
			i += windowLen - block + 1
			continue
		}
		if _, ok := s.windows[[windowLen]byte(data[i:i+windowLen])]; ok {
			return i
		}
		i++
	}
	return -1
}

// Stream is an io.Writer that finds a window wherever the writes cut it.
type Stream struct {
	set   *Set
	tail  []byte // the last bytes before, fewer than a window
	found bool
}

// Stream returns a new Stream for s.
func (s *Set) Stream() *Stream { return &Stream{set: s} }

// Found reports whether the bytes that were written so far contain a window. A
// nil Stream looks for nothing.
func (s *Stream) Found() bool { return s != nil && s.found }

// Reset forgets the bytes that were written so far.
func (s *Stream) Reset() { s.found, s.tail = false, nil }

// Write looks at p; it never fails.
func (s *Stream) Write(p []byte) (int, error) {
	if s == nil || s.found || len(p) == 0 {
		return len(p), nil
	}
	seam := append(s.tail, p[:min(len(p), windowLen-1)]...)
	s.found = s.set.Find(seam) >= 0 || s.set.Find(p) >= 0
	if len(p) >= windowLen-1 {
		seam = p
	}
	s.tail = append([]byte(nil), seam[max(0, len(seam)-windowLen+1):]...)
	return len(p), nil
}
