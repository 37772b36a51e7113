package tokenfile

import (
	"errors"
	"fmt"
	"io"

	"gatewayinit/internal/digest"
)

// Len is the length of a token's text: 32 random bytes as lower-case hex.
const Len = 64

// errWiped is what a Secret answers after Wipe.
var errWiped = errors.New("token was wiped")

// Secret holds a token's text. It cannot be printed: every fmt verb, text and
// JSON encoding give "[secret]". The only way out is WriteTo and Bytes. Wipe it
// after use; what Go's runtime may have copied meanwhile (it does not move heap
// objects) and what the kernel buffers is not covered.
type Secret struct{ text []byte }

// Bytes is the token itself, valid until Wipe. Do not keep or convert it.
func (s *Secret) Bytes() []byte { return s.text }

// WriteTo writes the token, without a newline.
func (s *Secret) WriteTo(w io.Writer) (int64, error) {
	if len(s.text) == 0 {
		return 0, errWiped
	}
	n, err := w.Write(s.text)
	return int64(n), err
}

// Sum is the token's SHA-256: what PID 1 remembers.
func (s *Secret) Sum() [digest.Size]byte { return digest.Sum(s.text) }

// Equal compares in constant time. A wiped Secret equals nothing.
func (s *Secret) Equal(text []byte) bool {
	if len(s.text) == 0 || len(s.text) != len(text) {
		return false
	}
	var diff byte
	for i := range text {
		diff |= s.text[i] ^ text[i]
	}
	return diff == 0
}

// Wipe overwrites the token.
func (s *Secret) Wipe() {
	clear(s.text)
	s.text = nil
}

const redacted = "[secret]"

// Format, MarshalText, String and GoString keep the token out of every output.
func (s *Secret) Format(f fmt.State, _ rune)   { io.WriteString(f, redacted) }
func (s *Secret) MarshalText() ([]byte, error) { return []byte(redacted), nil }
func (s *Secret) String() string               { return redacted }
func (s *Secret) GoString() string             { return redacted }
