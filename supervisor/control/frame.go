// SPDX-License-Identifier: Apache-2.0

// Package control carries root's requests to PID 1. Requests are frames in a
// root-owned FIFO, and answers are small files that are replaced atomically.
//
// A FIFO has no peer credentials. The kernel decides which processes may send
// requests, by the modes of the directory and of the FIFO. Nothing in a frame
// decides it.
package control

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Names below the runtime directory.
const (
	Dir     = "control" // root 0700
	FIFO    = "request" // in Dir, root 0600
	Replies = "replies" // in Dir, root 0700; one file per nonce
)

// maxFrame is the length of the longest frame, newline included. It is far below
// PIPE_BUF (4096, pipe(7)), so that a frame written with one write(2) is never
// mixed with another.
const maxFrame = 512

// NonceLen is the length of a nonce: 32 random bytes as lower-case hex.
const NonceLen = 64

// MaxDrain bounds drain=SECONDS.
const MaxDrain = 86400

// Action is the operation that a request asks for.
type Action string

// The actions.
const (
	Restart Action = "restart"
	Recover Action = "recover"
	Stop    Action = "stop"
	Start   Action = "start"
	Probe   Action = "probe"
	Reload  Action = "reload"
)

// Actions returns all of them.
func Actions() []Action { return []Action{Restart, Recover, Stop, Start, Probe, Reload} }

// Request is one decoded frame.
type Request struct {
	Nonce  string
	Action Action
	Rotate bool // restart only: replace the token
	Drain  int  // restart only: seconds of grace instead of stop.grace; 0 = not given
}

// isMergeable reports whether a waiting q may be answered by the run that answers r.
func (r Request) isMergeable(q Request) bool {
	return r.Action == q.Action && r.Rotate == q.Rotate && r.Drain == q.Drain
}

// Errors of Decode. Both determine the answer if the nonce was readable.
var (
	ErrMalformed     = errors.New("malformed frame")
	ErrUnknownAction = errors.New("unknown action or key")
)

// Encode returns the frame for r, newline included.
func Encode(r Request) ([]byte, error) {
	var b bytes.Buffer
	fmt.Fprintf(&b, "v1 %s %s", r.Nonce, r.Action)
	if r.Rotate {
		b.WriteString(" rotate=1")
	}
	if r.Drain != 0 {
		fmt.Fprintf(&b, " drain=%d", r.Drain)
	}
	b.WriteByte('\n')
	if _, err := Decode(b.Bytes()[:b.Len()-1]); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}

// Decode parses one frame without its newline. On error the returned Request still
// carries the nonce if that much was readable, so that it can be answered. No error
// text holds the offending bytes, because a log must not carry text of an unknown
// writer.
func Decode(line []byte) (Request, error) {
	var r Request
	if len(line) >= maxFrame {
		return r, ErrMalformed
	}
	for _, c := range line {
		if c < 0x20 || c > 0x7e {
			return r, ErrMalformed
		}
	}
	fields := strings.Split(string(line), " ")
	if fields[0] != "v1" || len(fields) < 2 || !isNonce(fields[1]) {
		return r, ErrMalformed
	}
	r.Nonce = fields[1]
	if len(fields) < 3 || fields[2] == "" {
		return r, ErrMalformed
	}
	action := Action(fields[2])
	if !slices.Contains(Actions(), action) {
		return r, ErrUnknownAction
	}
	for _, kv := range fields[3:] {
		if err := r.set(action, kv); err != nil {
			return Request{Nonce: r.Nonce}, err
		}
	}
	r.Action = action
	return r, nil
}

// set parses one key=value. Each key may occur only once.
func (r *Request) set(action Action, kv string) error {
	key, value, ok := strings.Cut(kv, "=")
	switch {
	case !ok || key == "" || value == "":
		return ErrMalformed
	case action == Restart && key == "rotate":
		if value != "1" || r.Rotate {
			return ErrMalformed
		}
		r.Rotate = true
	case action == Restart && key == "drain":
		n, err := strconv.ParseUint(value, 10, 31)
		if err != nil || n == 0 || n > MaxDrain || r.Drain != 0 || value[0] == '0' {
			return ErrMalformed
		}
		r.Drain = int(n)
	default:
		return ErrUnknownAction
	}
	return nil
}

// isNonce reports whether s is 64 lower-case hex digits.
func isNonce(s string) bool {
	if len(s) != NonceLen {
		return false
	}
	for i := 0; i < len(s); i++ {
		if c := s[i]; (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return true
}
