// SPDX-License-Identifier: Apache-2.0

package tokenfile

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
)

// Len is the length of a token's text: 32 random bytes as lower-case hex.
const Len = 64

// errWiped is the error of a Secret after Wipe.
var errWiped = errors.New("token was wiped")

// Secret holds a token's text. It cannot be printed. Every fmt verb, text and
// JSON encoding give "[secret]", or an address if a Secret lies in an
// unexported field, whose methods fmt does not call. Only WriteTo and Bytes give
// the text. Wipe it after use, which wipes every copy of the Secret. Copies that
// Go's runtime may have made meanwhile (it does not move heap objects) and buffers
// of the kernel are not covered.
type Secret struct{ at *place }

// place adds a second pointer. If a verb does not fit, fmt prints the value behind
// a pointer, but not the value behind a second one.
type place struct{ text *[]byte }

// newText returns a Secret that takes over text.
func newText(text []byte) *Secret { return &Secret{&place{&text}} }

// Bytes returns the token itself, valid until Wipe. Do not keep or convert it.
func (s Secret) Bytes() []byte {
	if s.at == nil {
		return nil
	}
	return *s.at.text
}

// WriteTo writes the token, without a newline.
func (s Secret) WriteTo(w io.Writer) (int64, error) {
	text := s.Bytes()
	if len(text) == 0 {
		return 0, errWiped
	}
	n, err := w.Write(text)
	return int64(n), err
}

// Sum returns the token's SHA-256, which PID 1 remembers.
func (s Secret) Sum() [sha256.Size]byte { return sha256.Sum256(s.Bytes()) }

// Equal reports whether text is the token. It compares in constant time. A wiped
// Secret equals nothing.
func (s Secret) Equal(text []byte) bool {
	own := s.Bytes()
	if len(own) == 0 || len(own) != len(text) {
		return false
	}
	var diff byte
	for i := range text {
		diff |= own[i] ^ text[i]
	}
	return diff == 0
}

// Wipe overwrites the token.
func (s Secret) Wipe() {
	if s.at != nil {
		clear(*s.at.text)
		*s.at.text = nil
	}
}

const redacted = "[secret]"

// Format, MarshalText, String and GoString keep the token out of every output, both
// of a Secret and of a pointer to one.
func (s Secret) Format(f fmt.State, _ rune)   { io.WriteString(f, redacted) }
func (s Secret) MarshalText() ([]byte, error) { return []byte(redacted), nil }
func (s Secret) String() string               { return redacted }
func (s Secret) GoString() string             { return redacted }
