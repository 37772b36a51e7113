// SPDX-License-Identifier: Apache-2.0

package proof

import "time"

// Types of a TLS record (RFC 8446, section 5.1).
const (
	recordAlert     = 0x15
	recordHandshake = 0x16
)

// isTLS reports whether data begins like a TLS record of a server.
func isTLS(data []byte) bool {
	return len(data) >= 3 && (data[0] == recordAlert || data[0] == recordHandshake) && data[1] == 3 && data[2] <= 4
}

// clientHello is the smallest ClientHello of TLS 1.2 (RFC 5246, section 7.4.1.2). Servers
// that do not like it send an alert, which says enough. It has no secret.
var clientHello = append([]byte{
	recordHandshake, 3, 1, 0, 51, // the record has 51 bytes
	1, 0, 0, 47, // ClientHello, of 47 bytes
	3, 3, // TLS 1.2
}, append(make([]byte, 32), // random
	0,    // no session
	0, 8, // four cipher suites
	0xc0, 0x2f, 0xc0, 0x2b, 0x00, 0x9c, 0x00, 0x2f,
	1, 0, // no compression
)...)

// tlsPatience bounds the time for that answer.
const tlsPatience = 500 * time.Millisecond

// speaksTLS reports whether a TLS server answers on a new connection. A server that does
// not understand HTTP in plain text may drop the connection or answer 400.
func (w *worker) speaksTLS() bool {
	if soon := time.Now().Add(tlsPatience); w.deadline.After(soon) {
		w.deadline = soon // nothing follows
	}
	if w.dial() != nil {
		return false
	}
	defer w.closeConn()
	// As in exchange: the server cannot have answered yet when its owner is looked up.
	first, rest := clientHello[:8], clientHello[8:]
	if w.conn.Write(first) != nil || w.owner() != OK || w.conn.Write(rest) != nil {
		return false
	}
	ok, err := w.in.fill()
	return ok && err == nil && isTLS(w.in.buf)
}
