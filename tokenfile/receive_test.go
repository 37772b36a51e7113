package tokenfile

import (
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"gatewayinit/internal/digest"
	"gatewayinit/internal/testenv"
)

// TestReceive: what comes over a pipe is a token whole, or nothing.
func TestReceive(t *testing.T) {
	good := strings.Repeat("0123456789abcdef", 4)
	for name, c := range map[string]struct {
		from io.Reader
		want error
	}{
		"good":       {strings.NewReader(good), nil},
		"in-pieces":  {iotest.OneByteReader(strings.NewReader(good)), nil},
		"and-more":   {strings.NewReader(good + good), nil},
		"nothing":    {strings.NewReader(""), io.EOF},
		"half":       {strings.NewReader(good[:32]), io.ErrUnexpectedEOF},
		"one-short":  {strings.NewReader(good[1:]), io.ErrUnexpectedEOF},
		"upper-case": {strings.NewReader(strings.ToUpper(good)), ErrMalformed},
		"newline":    {strings.NewReader(good[1:] + "\n"), ErrMalformed},
		"closed":     {iotest.ErrReader(io.ErrClosedPipe), io.ErrClosedPipe},
	} {
		t.Run(name, func(t *testing.T) {
			s, err := Receive(c.from)
			if !errors.Is(err, c.want) || (err == nil) != (s != nil) {
				t.Fatalf("got %v, %v, want %v", s, err, c.want)
			}
			if err == nil && (!s.Equal([]byte(good)) || s.Sum() != digest.Sum([]byte(good))) {
				t.Error("it is another token")
			}
			if err != nil && strings.Contains(err.Error(), good[:8]) {
				t.Errorf("the error holds some of it: %v", err)
			}
		})
	}
	r := strings.NewReader(good + "rest")
	_, err := Receive(r)
	testenv.Must(t, err)
	if rest, err := io.ReadAll(r); err != nil || string(rest) != "rest" {
		t.Errorf("it took more than the token: %q is left, %v", rest, err)
	}
}
