// SPDX-License-Identifier: Apache-2.0

package proof

import (
	"io"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/gateway-init/gateway-init/internal/config"
	"github.com/gateway-init/gateway-init/internal/sockets"
)

// TestWorkMisbehaving checks answers of a gateway that misbehaves. Each of them was,
// or would have been, taken for a healthy gateway, or held up the worker.
func TestWorkMisbehaving(t *testing.T) {
	say := func(text string) func(*client, int) {
		return func(c *client, _ int) {
			c.Request()
			c.Say(text)
			c.Request() // until the worker has closed
		}
	}
	hang := func(c *client, _ int) { c.Request(); c.Request() }
	for name, c := range map[string]struct {
		handle func(*client, int)
		want   Verdict
		change func(*Job)
	}{
		"good":                {good, OK, nil},
		"good-health":         {good, OK, func(j *Job) { j.Mode, j.Auth = Health, nil }},
		"no-auth-check":       {good, OK, func(j *Job) { j.Auth = nil }},
		"closes-at-once":      {func(*client, int) {}, Dropped, nil},
		"closes-after-asking": {func(c *client, _ int) { c.Request() }, Dropped, nil},
		"resets":              {func(c *client, _ int) { c.Request(); c.Conn.(*net.TCPConn).SetLinger(0) }, Dropped, nil},
		"hangs":               {hang, Timeout, short},
		"never-accepts":       {nil, Timeout, short},
		"hangs-in-the-head":   {say("HTTP/1.1 200 OK\r\nContent-Le"), Timeout, short},
		"hangs-in-the-body":   {say("HTTP/1.1 200 OK\r\nContent-Length: 14\r\n\r\n{\"ready\":"), Timeout, short},
		"drips":               {drip, Timeout, short},
		"500":                 {say(answer("500 Internal Server Error", `{"ready":true}`)), statusVerdict(500), nil},
		"503":                 {say(answer("503 Service Unavailable", ``)), statusVerdict(503), nil},
		"redirect":            {say(answer("302 Found", `{"ready":true}`)), statusVerdict(302), nil},
		"429":                 {say(answer("429 Too Many Requests", `{"ready":true}`)), Throttled, nil},
		"204":                 {say("HTTP/1.1 204 No Content\r\n\r\n"), statusVerdict(204), nil},
		"garbage":             {say("SSH-2.0-OpenSSH_9.9\r\n\r\n"), NotHTTP, nil},
		"binary":              {say(strings.Repeat("\x00\xff\n", 100)), NotHTTP, nil},
		"frames-and-hangs":    {say("\x00\x00\x06\x04\x00\x00\x00\x00\x00"), NotHTTP, short}, // HTTP/2
		"frames-and-closes":   {func(c *client, _ int) { c.Request(); c.Say("\x00\x00\x06\x04\x00\x00\x00\x00\x00") }, NotHTTP, nil},
		"half-an-answer":      {func(c *client, _ int) { c.Request(); c.Say("HTTP/1.1 200 OK\r\nContent-Le") }, Dropped, nil},
		"half-a-body":         {func(c *client, _ int) { c.Request(); c.Say("HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{}") }, Dropped, nil},
		"endless-headers":     {flood("HTTP/1.1 200 OK\r\n", "X: y\r\n"), TooLong, nil},
		"endless-header":      {flood("HTTP/1.1 200 OK\r\nX: ", "y"), TooLong, nil},
		"endless-body":        {flood("HTTP/1.1 200 OK\r\n\r\n", "{\"ready\":true}"), TooLong, nil},
		"endless-chunks":      {flood("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", "1\r\nx\r\n"), TooLong, nil},
		"endless-extensions":  {flood("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", "1;"+strings.Repeat("x", 8000)+"\r\nx\r\n"), TooLong, nil},
		"endless-interim":     {flood("", "HTTP/1.1 100 Continue\r\n\r\n"), NotHTTP, nil},
		"oversized-body":      {say("HTTP/1.1 200 OK\r\nContent-Length: 65537\r\n\r\n"), TooLong, nil},
		"absurd-body":         {say("HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\n"), TooLong, nil},
		"another-object":      {say(answer("200 OK", `{"ok":true}`)), NotJSON, nil},
		"another-value":       {say(answer("200 OK", `{"ready":false}`)), BadBody, nil},
		"text-for-true":       {say(answer("200 OK", `{"ready":"true"}`)), BadBody, nil},
		"not-at-the-top":      {say(answer("200 OK", `{"a":{"ready":true}}`)), NotJSON, nil},
		"twice":               {say(answer("200 OK", `{"ready":false,"ready":true}`)), NotJSON, nil},
		"not-json":            {say(answer("200 OK", `<html>ready: true</html>`)), NotJSON, nil},
		"json-and-more":       {say(answer("200 OK", `{"ready":true}{"ready":true}`)), NotJSON, nil},
		"deep-json":           {say(answer("200 OK", strings.Repeat(`{"a":`, 10000))), NotJSON, nil},
		"no-body":             {say(answer("200 OK", ``)), NotJSON, nil},
		"big-not-asked-for":   {flood("HTTP/1.1 200 OK\r\n\r\n", "x"), OK, func(j *Job) { j.Mode, j.Check.JSON = Health, nil }},
		"tls-alert":           {say("\x15\x03\x01\x00\x02\x02\x28"), TLS, nil},
		"tls-drops":           {tlsServer(""), TLS, nil},
		"tls-says-400":        {tlsServer(answer("400 Bad Request", "this is an HTTPS server")), TLS, nil},
		"400":                 {say(answer("400 Bad Request", "")), statusVerdict(400), nil},
		"tls-once-served":     {tlsServer(""), Dropped, func(j *Job) { j.Mode = Health }},
		"body-not-asked-for":  {say(answer("200 OK", `<html>`)), OK, func(j *Job) { j.Mode, j.Check.JSON = Health, nil }},
		"chunked":             {say(chunked), OK, func(j *Job) { j.Mode = Health }},
		"until-the-end":       {func(c *client, _ int) { c.Request(); c.Say("HTTP/1.0 200 OK\r\n\r\n{\"ready\":true}") }, OK, func(j *Job) { j.Mode = Health }},
		"interim-first":       {say("HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" + answer("200 OK", `{"ready":true}`)), OK, func(j *Job) { j.Mode = Health }},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := serve(t, "tcp4", "127.0.0.1:0", me, c.handle)
			j := job(s.Port())
			if c.change != nil {
				c.change(&j)
			}
			if got, _ := Work(j, []byte(secret)); got != c.want {
				t.Errorf("got %d (%v), want %d (%v)", got, got, c.want, c.want)
			}
			if c.want != OK && strings.Contains(s.Heard(), secret) {
				t.Error("the token was sent to a server that had not passed the check")
			}
		})
	}
}

// tlsServer answers plain text with text, or drops it, and answers a ClientHello with an
// alert.
func tlsServer(text string) func(*client, int) {
	return func(c *client, _ int) {
		first := make([]byte, 3)
		if _, err := io.ReadFull(c, first); err == nil && first[0] == recordHandshake {
			io.ReadFull(c, make([]byte, len(clientHello)-len(first)))
			c.Say("\x15\x03\x03\x00\x02\x02\x28")
			return
		}
		c.Request()
		c.Say(text)
	}
}

const chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n7;x=y\r\n{\"ready\r\n7\r\n\":true}\r\n0\r\nX: y\r\n\r\n"

// short sets a deadline that is meant to be reached.
func short(j *Job) { j.Deadline = 100 * time.Millisecond }

// drip sends single bytes as long as the connection lasts, and never the end.
func drip(c *client, _ int) {
	c.Request()
	for _, b := range []byte("HTTP/1.1 200 OK\r\nX: " + strings.Repeat("y", 100000)) {
		if _, err := c.Write([]byte{b}); err != nil {
			return
		}
		time.Sleep(5 * time.Millisecond) // this test is about the pace
	}
}

// flood sends more than any bound.
func flood(first, again string) func(*client, int) {
	return func(c *client, _ int) {
		c.Request()
		c.Say(first)
		more := []byte(strings.Repeat(again, 1+4096/len(again)))
		for sent := 0; sent < 64*maxWire; sent += len(more) {
			if _, err := c.Write(more); err != nil {
				return // the worker has closed
			}
		}
		c.S.T.Errorf("the worker read %d bytes", 64*maxWire)
	}
}

// TestWorkRefused checks that a port without a listener is Refused, not Timeout.
func TestWorkRefused(t *testing.T) {
	s := serve(t, "tcp4", "127.0.0.1:0", me, nil)
	s.Stop()
	if got, _ := Work(job(s.Port()), []byte(secret)); got != Refused {
		t.Errorf("got %v", got)
	}
	// The listener was closed between the look and the connection.
	w := &worker{job: job(s.Port()), ownerOf: sockets.Owner, listeners: func(port uint16) ([]sockets.Listener, error) {
		return []sockets.Listener{{Addr: netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), port), UID: me}}, nil
	}}
	if got := w.work([]byte(secret)); got != Refused {
		t.Errorf("got %v", got)
	}
}

// TestWorkWaitsForTheListener checks that a worker that was started with its gateway asks
// it as soon as it listens, and for how long it waits.
func TestWorkWaitsForTheListener(t *testing.T) {
	ours := sockets.Listener{UID: me}
	for name, c := range map[string]struct {
		wait time.Duration
		at   int // the look that finds it
		l    sockets.Listener
		want Verdict
	}{
		"at-once":     {time.Minute, 1, ours, OK},
		"later":       {time.Minute, 3, ours, OK},
		"a-stranger":  {time.Minute, 3, sockets.Listener{UID: stranger}, ForeignPeer},
		"does-not":    {0, 2, ours, Refused},
		"not-in-time": {time.Millisecond, 1 << 30, ours, Refused},
	} {
		t.Run(name, func(t *testing.T) {
			s := serve(t, "tcp4", "127.0.0.1:0", me, good)
			looks := 0
			w := &worker{job: job(s.Port()), ownerOf: sockets.Owner, listeners: func(port uint16) ([]sockets.Listener, error) {
				if looks++; looks < c.at {
					return nil, nil
				}
				l := c.l
				l.Addr = netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), port)
				return []sockets.Listener{l}, nil
			}}
			w.job.Wait = c.wait
			if got := w.work([]byte(secret)); got != c.want || c.want != Refused && looks != c.at {
				t.Errorf("got %v after %d looks, want %v", got, looks, c.want)
			}
		})
	}
}

// TestWorkReaches checks that a gateway is reached at the address that it listens on:
// a dual-stack socket, IPv6 alone, or another one.
func TestWorkReaches(t *testing.T) {
	for name, c := range map[string]struct{ network, host string }{
		"v4-loopback":   {"tcp4", "127.0.0.1:0"},
		"v4-any":        {"tcp4", "0.0.0.0:0"},
		"v4-other":      {"tcp4", "127.0.0.9:0"},
		"v6-loopback":   {"tcp6", "[::1]:0"},
		"v6-only":       {"tcp6", "[::]:0"},
		"dual-stack":    {"tcp", "[::]:0"},
		"mapped-socket": {"tcp", "[::ffff:127.0.0.1]:0"},
	} {
		for way, ask := range ways {
			t.Run(name+"-"+way, func(t *testing.T) {
				s := serve(t, c.network, c.host, me, good)
				w := &worker{job: job(s.Port()), listeners: ask.list, ownerOf: ask.owner}
				if got := w.work([]byte(secret)); got != OK {
					t.Errorf("got %v", got)
				}
				if n := s.Accepted(); n != 1 {
					t.Errorf("%d connections, want all on one", n)
				}
			})
		}
	}
}

// TestWorkDeferredAccept checks a server that waits for data before it accepts
// (TCP_DEFER_ACCEPT). It gets none, because before it accepts the kernel does not show whose
// connection it is.
func TestWorkDeferredAccept(t *testing.T) {
	s := serve(t, "tcp4", "127.0.0.1:0", me, func(c *client, _ int) { good(c, 0) })
	raw, err := s.Listener.(*net.TCPListener).SyscallConn()
	check(t, err)
	check(t, raw.Control(func(fd uintptr) {
		err = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_DEFER_ACCEPT, 3*int(bound.Seconds()))
	}))
	check(t, err)
	j := job(s.Port())
	j.Deadline = 300 * time.Millisecond
	if got, _ := Work(j, []byte(secret)); got != Timeout || s.Heard() != "" {
		t.Errorf("got %v, it heard %q", got, s.Heard())
	}
}

// TestWorkAuth checks the verdicts on the two answers of the auth check.
func TestWorkAuth(t *testing.T) {
	by := func(without, with string) func(*client, int) {
		return func(c *client, _ int) {
			for r := c.Request(); r != ""; r = c.Request() {
				switch {
				case strings.HasPrefix(r, "GET /readyz "):
					c.Say(goodAnswer(r))
				case strings.Contains(r, secret):
					c.Say(answer(with, "{}"))
				default:
					c.Say(answer(without, "{}"))
				}
			}
		}
	}
	for name, c := range map[string]struct {
		handle func(*client, int)
		want   Verdict
		sent   bool // the token was sent
	}{
		"in-force":                 {by("401 Unauthorized", "404 Not Found"), OK, true},
		"another-token":            {by("401 Unauthorized", "401 Unauthorized"), TokenRefused, true},
		"forbidden":                {by("401 Unauthorized", "403 Forbidden"), TokenRefused, true},
		"no-token-needed":          {by("404 Not Found", "404 Not Found"), NoTokenNeeded, false},
		"no-token-needed-but-good": {by("200 OK", "200 OK"), NoTokenNeeded, false},
		"throttled-without":        {by("429 Too Many Requests", "404 Not Found"), Throttled, false},
		"throttled-with":           {by("401 Unauthorized", "429 Too Many Requests"), Throttled, true},
		"broken-without":           {by("500 Oh", "404 Not Found"), AuthFailed, false},
		"unclear-without":          {by("302 Found", "404 Not Found"), AuthUnclear, false},
		"broken-with":              {by("401 Unauthorized", "502 Bad Gateway"), AuthFailed, true},
	} {
		t.Run(name, func(t *testing.T) {
			s := serve(t, "tcp4", "127.0.0.1:0", me, c.handle)
			if got, _ := Work(job(s.Port()), []byte(secret)); got != c.want {
				t.Errorf("got %v, want %v", got, c.want)
			}
			if sent := strings.Contains(s.Heard(), secret); sent != c.sent {
				t.Errorf("token sent: %v, want %v", sent, c.sent)
			}
		})
	}
	t.Run("no-token", func(t *testing.T) {
		s := serve(t, "tcp4", "127.0.0.1:0", me, good)
		config := job(s.Port())
		if got, _ := Work(config, nil); got != TokenFailed {
			t.Errorf("got %v", got)
		}
	})
}

// TestWorkPrematureAnswers checks that answers that come before their requests do not
// count. Otherwise they would prove a token that was never tried.
func TestWorkPrematureAnswers(t *testing.T) {
	s := serve(t, "tcp4", "127.0.0.1:0", me, func(c *client, n int) {
		for r := c.Request(); r != ""; r = c.Request() {
			switch {
			case n == 1:
				c.Say(goodAnswer(r) + answer("401 Unauthorized", "{}") + answer("404 Not Found", "{}"))
			default:
				c.Say(answer("401 Unauthorized", "{}"))
			}
		}
	})
	if got, _ := Work(job(s.Port()), []byte(secret)); got != TokenRefused {
		t.Errorf("got %v", got)
	}
}

// TestOnlyOwnListenersAreCandidates checks which listeners are not connected to.
func TestOnlyOwnListenersAreCandidates(t *testing.T) {
	at := func(uid uint32, addrs ...string) (ls []sockets.Listener) {
		for _, a := range addrs {
			ls = append(ls, sockets.Listener{Addr: netip.AddrPortFrom(netip.MustParseAddr(a), 80), UID: uid})
		}
		return ls
	}
	for name, c := range map[string]struct {
		ls   []sockets.Listener
		want string
	}{
		"v4-any":          {at(1, "0.0.0.0"), "[127.0.0.1]"},
		"v6-any":          {at(1, "::"), "[::1 127.0.0.1]"},
		"v6-loopback":     {at(1, "::1"), "[::1]"},
		"mapped":          {at(1, "::ffff:127.0.0.1"), "[127.0.0.1]"},
		"both-loopbacks":  {at(1, "127.0.0.1", "::1"), "[127.0.0.1 ::1]"},
		"stranger-beside": {append(at(2, "127.0.0.1"), at(1, "::1")...), "[::1]"},
		"strangers-only":  {at(2, "127.0.0.1", "::1"), "[]"},
	} {
		t.Run(name, func(t *testing.T) {
			got := []string{}
			for _, a := range candidates(c.ls, func(l sockets.Listener) bool { return l.UID == 1 }) {
				got = append(got, a.String())
			}
			if text := "[" + strings.Join(got, " ") + "]"; text != c.want {
				t.Errorf("got %s, want %s", text, c.want)
			}
		})
	}
}

// TestMatchBody checks that a body is judged by its members, types included.
func TestMatchBody(t *testing.T) {
	want := []config.Expect{{Key: "ok", Value: "true"}, {Key: "n", Value: "5"}, {Key: "s", Value: `"live"`}}
	for name, c := range map[string]struct {
		body string
		want Verdict
	}{
		"all":          {`{"s":"live","x":[1],"n":5,"ok":true}`, OK},
		"one-missing":  {`{"s":"live","n":5}`, NotJSON},
		"number-text":  {`{"s":"live","n":"5","ok":true}`, BadBody},
		"null":         {`{"s":"live","n":5,"ok":null}`, BadBody},
		"array":        {`[{"s":"live","n":5,"ok":true}]`, NotJSON},
		"truncated":    {`{"s":"live","n":5,"ok":true`, NotJSON},
		"bad-utf8":     {"{\"s\":\"live\",\"n\":5,\"ok\":true,\"\xff\":1}", NotJSON},
		"value-object": {`{"s":"live","n":5,"ok":{"ok":true}}`, BadBody},
	} {
		t.Run(name, func(t *testing.T) {
			if got := matchBody([]byte(c.body), want); got != c.want {
				t.Errorf("got %v", got)
			}
		})
	}
}
