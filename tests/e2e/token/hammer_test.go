// SPDX-License-Identifier: Apache-2.0

package token

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"runtime"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/gateway-init/gateway-init/tests/harness"
)

// pace is the time between two tries of one hammer. Some hundred tries a second leave
// two cores free for the gateway.
const pace = 2 * time.Millisecond

// hammer sends requests with a token over the container's loopback, again and again,
// and records when the gateway took it. It does not use the engine, because a call of
// that takes longer than a rotation.
type hammer struct {
	client *http.Client
	token  func() string // returns "" for no try

	mu                  sync.Mutex
	tries               int
	firstEnd, lastBegin time.Time // of the tries whose token the gateway took
}

// newHammer starts a hammer. stop ends it.
func newHammer(pid int, token func() string) (h *hammer, stop func()) {
	h = &hammer{token: token, client: &http.Client{Timeout: 2 * time.Second, Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
			return dialIn(ctx, pid, network, addr)
		},
	}}}
	end, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		tick := time.NewTicker(pace)
		defer tick.Stop()
		for {
			select {
			case <-end:
				return
			case <-tick.C:
				h.try()
			}
		}
	}()
	return h, sync.OnceFunc(func() { close(end); <-ended })
}

func (h *hammer) try() {
	token := h.token()
	if token == "" {
		return
	}
	req, err := http.NewRequest("GET", fmt.Sprintf("http://127.0.0.1:%d/api/whoami", harness.Port), nil)
	if err != nil {
		return
	}
	req.Header.Set("Authorization", "Bearer "+token)
	begin := time.Now()
	resp, err := h.client.Do(req)
	letIn := err == nil && resp.StatusCode == http.StatusOK
	if err == nil {
		resp.Body.Close()
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.tries++
	if !letIn {
		return
	}
	if h.lastBegin = begin; h.firstEnd.IsZero() {
		h.firstEnd = time.Now()
	}
}

func (h *hammer) seen() (tries int, firstEnd, lastBegin time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.tries, h.firstEnd, h.lastBegin
}

// overlap returns how long both tokens surely worked: from the first try that the new
// one passed to the begin of the last one that the old one passed.
func overlap(newFirstEnd, oldLastBegin time.Time) time.Duration {
	if newFirstEnd.IsZero() || oldLastBegin.IsZero() {
		return 0
	}
	return max(0, oldLastBegin.Sub(newFirstEnd))
}

// dialIn connects in the network namespace of a process. The thread that entered it
// stays locked, so it ends with its goroutine.
func dialIn(ctx context.Context, pid int, network, addr string) (net.Conn, error) {
	type result struct {
		conn net.Conn
		err  error
	}
	done := make(chan result, 1)
	go func() {
		runtime.LockOSThread()
		ns, err := os.Open(fmt.Sprintf("/proc/%d/ns/net", pid))
		if err != nil {
			done <- result{nil, err}
			return
		}
		defer ns.Close()
		if err := unix.Setns(int(ns.Fd()), unix.CLONE_NEWNET); err != nil {
			done <- result{nil, err}
			return
		}
		conn, err := new(net.Dialer).DialContext(ctx, network, addr)
		done <- result{conn, err}
	}()
	r := <-done
	return r.conn, r.err
}

func TestOverlap(t *testing.T) {
	at := func(ms int) time.Time { return time.UnixMilli(int64(1000 + ms)) }
	for name, c := range map[string]struct {
		newFirstEnd, oldLastBegin time.Time
		want                      time.Duration
	}{
		"one-after-the-other": {at(20), at(10), 0},
		"both":                {at(10), at(13), 3 * time.Millisecond},
		"new-never":           {time.Time{}, at(10), 0},
		"old-never":           {at(10), time.Time{}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			if got := overlap(c.newFirstEnd, c.oldLastBegin); got != c.want {
				t.Errorf("got %v, want %v", got, c.want)
			}
		})
	}
}
