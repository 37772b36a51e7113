// SPDX-License-Identifier: Apache-2.0

package control

// splitter cuts a byte stream into frames. A line that is too long is dropped up to
// its newline, so the next frame is found again after any input. The zero value is
// ready. It holds at most maxFrame bytes.
type splitter struct {
	buf  [maxFrame]byte
	n    int
	skip bool // inside a line that is too long
}

// feed takes bytes and calls frame for each complete line, without its newline. The
// slice is valid only during the call. nil stands for a line that was too long.
func (s *splitter) feed(data []byte, frame func(line []byte)) {
	for _, c := range data {
		switch {
		case c == '\n' && s.skip:
			s.n, s.skip = 0, false
			frame(nil)
		case c == '\n':
			frame(s.buf[:s.n])
			s.n = 0
		case s.skip:
		case s.n == maxFrame-1: // no room left for the newline
			s.skip = true
		default:
			s.buf[s.n] = c
			s.n++
		}
	}
}
