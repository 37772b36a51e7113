// SPDX-License-Identifier: Apache-2.0

package proof

import (
	"bytes"
	"strconv"
)

func readBody(s *source, status int, h *head) ([]byte, error) {
	switch {
	case status == 204 || status == 304:
		return nil, nil
	case h.chunked:
		h.close = h.close || h.length >= 0 // with two lengths, the start of the next answer is unknown (RFC 9112, 6.1)
		return readChunks(s)
	case h.length > maxBody:
		return nil, errLong
	case h.length >= 0:
		return s.take(h.length)
	}
	h.close = true
	for {
		if len(s.buf) > maxBody {
			return nil, errLong
		}
		ok, err := s.fill()
		if err != nil {
			return nil, err
		}
		if !ok {
			body := s.buf
			s.buf = nil
			return body, nil
		}
	}
}

func readChunks(s *source) ([]byte, error) {
	var body []byte
	for {
		l, err := s.line()
		if err != nil {
			return nil, err
		}
		text, _, _ := bytes.Cut(l, []byte{';'})
		size, err := strconv.ParseUint(string(bytes.TrimSpace(text)), 16, 31)
		if err != nil {
			return nil, errHTTP
		}
		if len(body)+int(size) > maxBody {
			return nil, errLong
		}
		if size == 0 {
			break
		}
		data, err := s.take(int(size))
		if err != nil {
			return nil, err
		}
		body = append(body, data...)
		end, err := s.line()
		if err != nil {
			return nil, err
		}
		if len(end) != 0 {
			return nil, errHTTP
		}
	}
	for total := 0; total < maxHead; { // trailer
		l, err := s.line()
		if err != nil {
			return nil, err
		}
		if len(l) == 0 {
			return body, nil
		}
		total += len(l)
	}
	return nil, errLong
}
