// SPDX-License-Identifier: Apache-2.0

package proof

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"testing/iotest"
)

// plain turns an io.Reader into a reader, whose end is 0 and nil.
type plain struct{ io.Reader }

func (p plain) Read(b []byte) (int, error) {
	n, err := p.Reader.Read(b)
	if err == io.EOF {
		err = nil
	}
	return n, err
}

func parse(text string) (response, error) {
	return readResponse(&source{r: plain{strings.NewReader(text)}}, true)
}

// TestReadResponse checks answers that a server may send, in pieces of any size.
func TestReadResponse(t *testing.T) {
	for name, c := range map[string]struct {
		text, body string
		status     int
		last       bool
	}{
		"length":            {"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}", "{}", 200, false},
		"no-reason":         {"HTTP/1.1 200\r\nContent-Length: 2\r\n\r\n{}", "{}", 200, false},
		"bare-newlines":     {"HTTP/1.1 200 OK\nContent-Length: 2\n\n{}", "{}", 200, false},
		"any-case":          {"HTTP/1.1 200 OK\r\ncONTENT-length:2\r\n\r\n{}", "{}", 200, false},
		"length-twice":      {"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\n{}", "{}", 200, false},
		"close":             {"HTTP/1.1 200 OK\r\nConnection: Close\r\nContent-Length: 2\r\n\r\n{}", "{}", 200, true},
		"old-version":       {"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\n{}", "{}", 200, true},
		"until-end":         {"HTTP/1.1 200 OK\r\n\r\n{}", "{}", 200, true},
		"more-than-asked":   {"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}HTTP/1.1 404", "{}", 200, true},
		"no-content":        {"HTTP/1.1 204 No Content\r\nContent-Length: 2\r\n\r\n", "", 204, false},
		"not-modified":      {"HTTP/1.1 304 Not Modified\r\nTransfer-Encoding: chunked\r\n\r\n", "", 304, false},
		"interim":           {"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Hints\r\nA: b\r\n\r\nHTTP/1.1 500 Oh\r\nContent-Length: 0\r\n\r\n", "", 500, false},
		"chunked":           {"HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\n\r\n1\r\n{\r\n1;a=b\r\n}\r\n0\r\n\r\n", "{}", 200, false},
		"chunked-with-tail": {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\nA: b\r\n\r\n", "{}", 200, false},
		"chunked-and-size":  {"HTTP/1.1 200 OK\r\nContent-Length: 7\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n", "{}", 200, true},
	} {
		t.Run(name, func(t *testing.T) {
			for _, r := range []io.Reader{strings.NewReader(c.text), iotest.OneByteReader(strings.NewReader(c.text))} {
				got, err := readResponse(&source{r: plain{r}}, true)
				if err != nil || got.status != c.status || string(got.body) != c.body {
					t.Errorf("got %d %q, %v", got.status, got.body, err)
				}
				// A reader of single bytes cannot see that more is coming.
				if _, whole := r.(*strings.Reader); got.last != c.last && (whole || name != "more-than-asked") {
					t.Errorf("last is %v", got.last)
				}
			}
		})
	}
}

// TestReadResponseRefuses checks that data that is no answer, or two, is refused.
func TestReadResponseRefuses(t *testing.T) {
	const ok = "HTTP/1.1 200 OK\r\n"
	for name, text := range map[string]string{
		"other-protocol":    "ICY 200 OK\r\n\r\n",
		"http2":             "HTTP/2.0 200 OK\r\n\r\n",
		"http0.9":           "<html>",
		"http2-frames":      "\x00\x00\x06\x04\x00\x00\x00\x00\x00\x00\x03\x00\x00\x00\x64",
		"version-cut":       "HTTP/1.",
		"lower-case":        "http/1.1 200 OK\r\n\r\n",
		"no-status":         "HTTP/1.1 OK\r\n\r\n",
		"status-four":       "HTTP/1.1 2000 OK\r\n\r\n",
		"status-signed":     "HTTP/1.1 +20 OK\r\n\r\n",
		"status-zero":       "HTTP/1.1 000 OK\r\n\r\n",
		"no-colon":          ok + "Content-Length\r\n\r\n",
		"no-name":           ok + ": 5\r\n\r\n",
		"space-in-name":     ok + "Content-Length : 2\r\n\r\n{}",
		"folded":            ok + "A: b\r\n Content-Length: 2\r\n\r\n{}",
		"two-lengths":       ok + "Content-Length: 2\r\nContent-Length: 3\r\n\r\n{} ",
		"length-list":       ok + "Content-Length: 2, 2\r\n\r\n{}",
		"length-negative":   ok + "Content-Length: -2\r\n\r\n{}",
		"length-signed":     ok + "Content-Length: +2\r\n\r\n{}",
		"length-hex":        ok + "Content-Length: 0x2\r\n\r\n{}",
		"length-empty":      ok + "Content-Length:\r\n\r\n{}",
		"length-too-big":    ok + "Content-Length: 65537\r\n\r\n" + strings.Repeat("x", 65537),
		"other-coding":      ok + "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
		"old-and-chunked":   "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
		"chunk-negative":    ok + "Transfer-Encoding: chunked\r\n\r\n-1\r\n",
		"chunk-huge":        ok + "Transfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\n",
		"chunk-over-body":   ok + "Transfer-Encoding: chunked\r\n\r\n10001\r\n" + strings.Repeat("x", 65537) + "\r\n0\r\n\r\n",
		"chunk-without-end": ok + "Transfer-Encoding: chunked\r\n\r\n2\r\n{}0\r\n\r\n",
		"chunk-no-size":     ok + "Transfer-Encoding: chunked\r\n\r\n\r\n",
		"trailer-endless":   ok + "Transfer-Encoding: chunked\r\n\r\n0\r\n" + strings.Repeat("A: b\r\n", maxHead),
		"body-short":        ok + "Content-Length: 3\r\n\r\n{}",
		"body-until-beyond": ok + "\r\n" + strings.Repeat("x", maxBody+1),
		"only-interim":      strings.Repeat("HTTP/1.1 100 Continue\r\n\r\n", 9),
		"head-cut":          ok + "A: b\r\n",
		"head-long":         ok + strings.Repeat("A: b\r\n", maxHead) + "\r\n",
		"line-long":         ok + "A: " + strings.Repeat("b", 2*maxHead) + "\r\n\r\n",
		"nul-line":          "\x00\r\n\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			want := errHTTP
			switch name {
			case "length-too-big", "chunk-over-body", "trailer-endless", "body-until-beyond", "head-long", "line-long":
				want = errLong
			case "body-short", "head-cut", "version-cut":
				want = errCut
			}
			if r, err := parse(text); !errors.Is(err, want) {
				t.Errorf("got %d with %d bytes, %v; want %v", r.status, len(r.body), err, want)
			}
		})
	}
	t.Run("nothing", func(t *testing.T) {
		if _, err := parse(""); !errors.Is(err, errEmpty) || errors.Is(err, errHTTP) {
			t.Errorf("got %v", err)
		}
	})
}

// TestReadResponseWithoutBody checks that no body is waited for that nobody wants, and that
// no further answer is read from a connection on which it comes.
func TestReadResponseWithoutBody(t *testing.T) {
	for name, c := range map[string]struct {
		text string
		last bool
	}{
		"arrived":  {"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}", false},
		"too-big":  {"HTTP/1.1 200 OK\r\nContent-Length: 2000000\r\n\r\nxxx", true},
		"absurd":   {"HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\nxxx", true},
		"chunked":  {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n", true},
		"no-end":   {"HTTP/1.1 200 OK\r\n\r\n", true},
		"no-body":  {"HTTP/1.1 204 No Content\r\n\r\n", false},
		"more":     {"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}HTTP/1.1 404", true},
		"cut-body": {"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n{}", true},
	} {
		r, err := readResponse(&source{r: plain{strings.NewReader(c.text)}}, false)
		if err != nil || r.status/100 != 2 || r.last != c.last {
			t.Errorf("%s: %+v, %v", name, r, err)
		}
	}
}

// TestReadResponseTwice reads two answers on one connection, one after the other.
func TestReadResponseTwice(t *testing.T) {
	one := "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n"
	s := &source{r: plain{iotest.OneByteReader(strings.NewReader(one + "HTTP/1.1 401 No\r\nContent-Length: 1\r\n\r\nx"))}}
	for _, want := range []int{200, 401} {
		if r, err := readResponse(s, true); err != nil || r.status != want || r.last {
			t.Fatalf("got %+v, %v; want %d", r, err, want)
		}
	}
	if _, err := readResponse(s, true); !errors.Is(err, errEmpty) {
		t.Errorf("after both: %v", err)
	}
}

// FuzzHTTPResponse checks that an accepted answer is within the bounds, in whatever
// pieces it came. net/http, which is not linked into PID 1, must read the same status
// and body. The answer that is written from them must be read as the same.
func FuzzHTTPResponse(f *testing.F) {
	for _, seed := range []string{
		"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}",
		"HTTP/1.0 200 OK\r\n\r\n{}",
		"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1;a\r\n{\r\n1\r\n}\r\n0\r\nA: b\r\n\r\n",
		"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\nx",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		r, err := parse(string(data))
		bit, bitErr := readResponse(&source{r: plain{iotest.OneByteReader(bytes.NewReader(data))}}, true)
		if (err == nil) != (bitErr == nil) || err == nil && (r.status != bit.status || !bytes.Equal(r.body, bit.body)) {
			t.Fatalf("in one piece %d %q %v, in bytes %d %q %v", r.status, r.body, err, bit.status, bit.body, bitErr)
		}
		if err != nil {
			if !errors.Is(err, errHTTP) && !errors.Is(err, errEmpty) && !errors.Is(err, errLong) && !errors.Is(err, errTLS) && !errors.Is(err, errCut) {
				t.Fatalf("refused with %v", err)
			}
			return
		}
		if r.status < 200 || r.status > 999 || len(r.body) > maxBody {
			t.Fatalf("accepted status %d, %d bytes", r.status, len(r.body))
		}
		if status, body, ok := standard(data); ok && (status != r.status || !bytes.Equal(body, r.body)) {
			t.Fatalf("got %d %q, net/http %d %q", r.status, r.body, status, body)
		}
		if r.status == 204 || r.status == 304 {
			return
		}
		again, err := parse(answer(strings.Repeat("0", 3-len(strconv.Itoa(r.status)))+strconv.Itoa(r.status)+" X", string(r.body)))
		if err != nil || again.status != r.status || !bytes.Equal(again.body, r.body) || again.last {
			t.Fatalf("%d %q came back as %+v, %v", r.status, r.body, again, err)
		}
	})
}

// standard reads data with net/http. ok is false if that refuses it.
func standard(data []byte) (status int, body []byte, ok bool) {
	in := bufio.NewReader(bytes.NewReader(data))
	for {
		r, err := http.ReadResponse(in, nil)
		if err != nil {
			return 0, nil, false
		}
		body, err = io.ReadAll(r.Body)
		if err != nil {
			return 0, nil, false
		}
		if r.StatusCode >= 200 {
			return r.StatusCode, body, true
		}
	}
}
