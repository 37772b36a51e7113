// SPDX-License-Identifier: Apache-2.0

package control

import "encoding/hex"

// replayDepth is the number of nonces that are remembered.
const replayDepth = 4096

// Replay remembers the newest nonces. It grows to at most 128 KiB. A look-up
// compares all of them, which takes some microseconds per request and saves a map
// of three times that size. The zero value is ready.
type Replay struct {
	seen [][NonceLen / 2]byte
	next int
}

// Seen reports whether the nonce was seen before, and remembers it.
func (r *Replay) Seen(nonce string) bool {
	var n [NonceLen / 2]byte
	hex.Decode(n[:], []byte(nonce))
	for i := range r.seen {
		if r.seen[i] == n {
			return true
		}
	}
	if len(r.seen) < replayDepth {
		r.seen = append(r.seen, n)
		return false
	}
	r.seen[r.next] = n
	r.next = (r.next + 1) % replayDepth
	return false
}
