// SPDX-License-Identifier: Apache-2.0

package tokenfile

import (
	"crypto/sha256"
	"fmt"
	"io"
)

// Len is the length of a token's text: 32 random bytes as lower-case hex.
const Len = 64

// Secret holds a token's text. It cannot be printed. Every fmt verb, text and
// JSON encoding give "[secret]", or an address if a Secret lies in an
// unexported field, whose methods fmt does not call. Only Bytes gives the text.
// Wipe it after use, which wipes every copy of the Secret. Copies that Go's runtime
// may have made meanwhile (it does not move heap objects) and buffers of the kernel
// are not covered.
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

// Sum returns the token's SHA-256, which PID 1 remembers.
func (s Secret) Sum() [sha256.Size]byte { return sha256.Sum256(s.Bytes()) }

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
