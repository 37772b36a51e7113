// SPDX-License-Identifier: Apache-2.0

package proof

import (
	"bytes"
	"errors"
	"math"
	"strconv"
)

// Bounds of an answer. The other end is not trusted, because the agent may hold the
// port.
const (
	maxHead = 16 << 10
	maxBody = 64 << 10
	maxWire = 256 << 10 // on one connection, framing included
)

// Errors of an answer.
var (
	errHTTP  = errors.New("not an http answer")
	errTLS   = errors.New("a tls record")
	errLong  = errors.New("longer than the bounds")
	errEmpty = errors.New("closed without an answer")
	errCut   = errors.New("closed in the middle of an answer")
)

// response is one answer. last means that the connection ends after it.
type response struct {
	status int
	body   []byte
	last   bool
}

// reader is the source of an answer. A Read that returns 0 and nil is the end.
type reader interface{ Read([]byte) (int, error) }

// source is a buffered reader.
type source struct {
	r   reader
	buf []byte
	got int // bytes read so far
	eof bool
}

// fill reads more data. It returns false at the end of the stream.
func (s *source) fill() (bool, error) {
	if s.eof {
		return false, nil
	}
	chunk := make([]byte, 4096)
	n, err := s.r.Read(chunk)
	if err != nil {
		return false, err
	}
	if s.got += n; s.got > maxWire {
		return false, errLong
	}
	s.eof = n == 0
	s.buf = append(s.buf, chunk[:n]...)
	return n > 0, nil
}

// take returns n bytes.
func (s *source) take(n int) ([]byte, error) {
	for len(s.buf) < n {
		if ok, err := s.fill(); err != nil || !ok {
			return nil, cut(err)
		}
	}
	out := s.buf[:n:n]
	s.buf = s.buf[n:]
	return out, nil
}

// line returns one line without its end, within the bound of the head.
func (s *source) line() ([]byte, error) {
	for {
		if i := bytes.IndexByte(s.buf, '\n'); i >= 0 {
			l := s.buf[:i:i]
			s.buf = s.buf[i+1:]
			return bytes.TrimSuffix(l, []byte{'\r'}), nil
		}
		if len(s.buf) > maxHead {
			return nil, errLong
		}
		if ok, err := s.fill(); err != nil || !ok {
			return nil, cut(err)
		}
	}
}

// cut returns the error of a stream that ended in the middle of an answer.
func cut(err error) error {
	if err == nil {
		return errCut
	}
	return err
}

// readResponse reads one answer (RFC 9112). Informational ones are skipped. If no body is
// wanted, it waits for none.
func readResponse(s *source, wantBody bool) (response, error) {
	if len(s.buf) == 0 {
		if ok, err := s.fill(); err != nil || !ok {
			return response{}, errors.Join(errEmpty, err)
		}
	}
	if isTLS(s.buf) {
		return response{}, errTLS
	}
	for range 8 {
		r, h, err := readHead(s)
		if err != nil {
			return r, err
		}
		if r.status >= 200 && !wantBody && !h.isComplete(r.status, len(s.buf)) {
			r.last = true
			return r, nil
		}
		if r.status >= 200 {
			r.body, err = readBody(s, r.status, &h)
			r.last = h.close || len(s.buf) > 0 // extra data must not be taken for the next answer
			return r, err
		}
	}
	return response{}, errHTTP
}

// head holds the facts about the body that the header fields give.
type head struct {
	length  int // -1: not given
	chunked bool
	close   bool
}

// isComplete reports whether the whole body has arrived in so many bytes.
func (h *head) isComplete(status, got int) bool {
	return status == 204 || status == 304 || !h.chunked && h.length >= 0 && h.length <= got
}

// beginsHTTP reports whether data may be the beginning of an answer.
func beginsHTTP(data []byte) bool {
	const version = "HTTP/1."
	n := min(len(data), len(version))
	return string(data[:n]) == version[:n]
}

func readHead(s *source) (r response, h head, err error) {
	h.length = -1
	first, err := s.line()
	if err != nil && !beginsHTTP(s.buf) { // another protocol, which may have no lines
		return r, h, errHTTP
	}
	if err != nil {
		return r, h, err
	}
	old := bytes.HasPrefix(first, []byte("HTTP/1.0 "))
	if len(first) < 12 || !old && !bytes.HasPrefix(first, []byte("HTTP/1.1 ")) || len(first) > 12 && first[12] != ' ' {
		return r, h, errHTTP
	}
	h.close = old
	if r.status, err = strconv.Atoi(string(first[9:12])); err != nil || r.status < 100 {
		return r, h, errHTTP
	}
	for size := len(first); ; {
		l, err := s.line()
		if err != nil {
			return r, h, err
		}
		if size += len(l) + 2; size > maxHead {
			return r, h, errLong
		}
		if len(l) == 0 && old && h.chunked { // faulty framing (RFC 9112, 6.1)
			return r, h, errHTTP
		}
		if len(l) == 0 {
			return r, h, nil
		}
		if err := h.field(l); err != nil {
			return r, h, err
		}
	}
}

func (h *head) field(l []byte) error {
	name, value, ok := bytes.Cut(l, []byte{':'})
	if !ok || len(name) == 0 || bytes.ContainsAny(name, " \t") { // folded lines too (RFC 9112, 5.1 and 5.2)
		return errHTTP
	}
	value = bytes.ToLower(bytes.TrimSpace(value))
	switch string(bytes.ToLower(name)) {
	case "content-length":
		n, err := strconv.Atoi(string(value))
		if errors.Is(err, strconv.ErrRange) && n > 0 {
			n, err = math.MaxInt, nil
		}
		if err != nil || n < 0 || n < math.MaxInt && strconv.Itoa(n) != string(value) || h.length >= 0 && h.length != n {
			return errHTTP
		}
		h.length = n
	case "transfer-encoding":
		if string(value) != "chunked" {
			return errHTTP
		}
		h.chunked = true
	case "connection":
		h.close = h.close || bytes.Contains(value, []byte("close"))
	}
	return nil
}
