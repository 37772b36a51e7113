// SPDX-License-Identifier: Apache-2.0

package control

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

// numbered returns a request whose nonce ends in n.
func numbered(a Action, n int) Request {
	return Request{Nonce: fmt.Sprintf("%064x", n), Action: a}
}

// fill puts actions such as "restart stop stop" into a queue, as nonces 0, 1, 2.
func fill(t *testing.T, actions string) *Queue {
	t.Helper()
	q := new(Queue)
	for i, a := range strings.Fields(actions) {
		if !q.Add(numbered(Action(a), i)) {
			t.Fatalf("%d is refused", i)
		}
	}
	return q
}

// text prints jobs as "restart[0 1] stop[2]".
func text(jobs []*Job) string {
	var out []string
	for _, j := range jobs {
		var ns []string
		for _, n := range j.Nonces {
			ns = append(ns, strings.TrimLeft(n[:NonceLen-1], "0")+n[NonceLen-1:])
		}
		out = append(out, string(j.Action)+fmt.Sprint(ns))
	}
	return strings.Join(out, " ")
}

func drain(q *Queue) (jobs []*Job) {
	for j := q.Next(); j != nil; j = q.Next() {
		jobs = append(jobs, j)
	}
	return jobs
}

// TestQueueOrder checks that order is kept and only neighbors merge. The requests
// start, stop, start must not become start, stop.
func TestQueueOrder(t *testing.T) {
	for name, c := range map[string]struct{ add, want string }{
		"nothing":        {"", ""},
		"one":            {"restart", "restart[0]"},
		"merged":         {"restart restart restart", "restart[0 1 2]"},
		"not-overtaking": {"start stop start", "start[0] stop[1] start[2]"},
		"merged-at-end":  {"start stop stop start", "start[0] stop[1 2] start[3]"},
		"probes-too":     {"probe probe recover probe", "probe[0 1] recover[2] probe[3]"},
	} {
		t.Run(name, func(t *testing.T) {
			q := fill(t, c.add)
			if n := len(strings.Fields(c.add)); q.Len() != n {
				t.Errorf("%d wait, want %d", q.Len(), n)
			}
			if got := text(drain(q)); got != c.want || q.Len() != 0 || q.Next() != nil {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}

// TestQueueInProgress checks that a job in progress never absorbs a later request, so
// a restart that is requested during a restart is another one.
func TestQueueInProgress(t *testing.T) {
	q := fill(t, "restart")
	running := q.Next()
	q.Add(numbered(Restart, 1))
	if running.Has(numbered(Restart, 1).Nonce) || !running.Has(numbered(Restart, 0).Nonce) || text(drain(q)) != "restart[1]" {
		t.Error("the job in progress absorbed a request")
	}
}

// TestQueueFull checks that the 257th request is refused and changes nothing.
func TestQueueFull(t *testing.T) {
	for name, actions := range map[string][]Action{
		"alike":     {Restart, Restart},
		"different": {Start, Stop},
	} {
		t.Run(name, func(t *testing.T) {
			q := new(Queue)
			for i := range MaxWaiting {
				if !q.Add(numbered(actions[i%2], i)) {
					t.Fatalf("request %d is refused", i)
				}
			}
			if q.Add(numbered(actions[0], MaxWaiting)) || q.Has(numbered(actions[0], MaxWaiting).Nonce) || q.Len() != MaxWaiting {
				t.Error("one too many was accepted")
			}
			n := len(q.Next().Nonces)
			if q.Len() != MaxWaiting-n || !q.Add(numbered(Probe, 999)) {
				t.Error("there is no room after a job was taken")
			}
		})
	}
}

// TestTakeStop checks that a stop supersedes the requests before it that want the
// gateway running, and none after it.
func TestTakeStop(t *testing.T) {
	for name, c := range map[string]struct{ add, stop, superseded, rest string }{
		"none":        {"restart probe start", "", "", "restart[0] probe[1] start[2]"},
		"alone":       {"stop", "stop[0]", "", ""},
		"after-start": {"start stop", "stop[1]", "start[0]", ""},
		"before":      {"stop start", "stop[0]", "", "start[1]"},
		"probes-stay": {"probe restart probe recover stop probe start stop", "stop[4]", "restart[1] recover[3]", "probe[0] probe[2] probe[5] start[6] stop[7]"},
		"merged":      {"start start stop stop start", "stop[2 3]", "start[0 1]", "start[4]"},
	} {
		t.Run(name, func(t *testing.T) {
			q := fill(t, c.add)
			stop, superseded := q.TakeStop()
			got := ""
			if stop != nil {
				got = text([]*Job{stop})
			}
			if got != c.stop || text(superseded) != c.superseded {
				t.Errorf("stop %q, superseded %q; want %q, %q", got, text(superseded), c.stop, c.superseded)
			}
			if rest := text(drain(q)); rest != c.rest {
				t.Errorf("rest %q, want %q", rest, c.rest)
			}
		})
	}
}

// TestQueueAnswersAll checks that each request is answered by exactly one job.
func TestQueueAnswersAll(t *testing.T) {
	q := new(Queue)
	kinds := []Action{Start, Start, Probe, Restart, Stop, Restart, Restart}
	var want, got []string
	for i := range 100 {
		r := numbered(kinds[i%len(kinds)], i)
		want = append(want, r.Nonce)
		if !q.Add(r) || !q.Has(r.Nonce) {
			t.Fatalf("%d is not there", i)
		}
	}
	for {
		stop, jobs := q.TakeStop()
		if stop == nil {
			break
		}
		for _, j := range append(jobs, stop) {
			got = append(got, j.Nonces...)
		}
	}
	for _, j := range drain(q) {
		got = append(got, j.Nonces...)
	}
	slices.Sort(got)
	if !slices.Equal(got, want) {
		t.Errorf("%d answers for %d requests", len(got), len(want))
	}
}

// TestReplay checks that a nonce works once, until 4096 others have come.
func TestReplay(t *testing.T) {
	var r Replay
	nonce := func(i int) string { return numbered(Probe, i).Nonce }
	for i := range replayDepth {
		if r.Seen(nonce(i)) {
			t.Fatalf("%d was never here", i)
		}
	}
	for i := range replayDepth {
		if !r.Seen(nonce(i)) {
			t.Fatalf("%d is forgotten", i)
		}
	}
	// A nonce that is seen again does not push others out.
	if r.Seen(nonce(replayDepth)) || !r.Seen(nonce(1)) || r.Seen(nonce(0)) {
		t.Error("the oldest, and it alone, is forgotten")
	}
	for i := range 3 * replayDepth {
		r.Seen(nonce(10_000 + i))
	}
	if len(r.seen) != replayDepth {
		t.Errorf("%d are remembered, want %d", len(r.seen), replayDepth)
	}
	for i := 2 * replayDepth; i < 3*replayDepth; i++ {
		if !r.Seen(nonce(10_000 + i)) {
			t.Fatalf("%d of the newest is forgotten", i)
		}
	}
}
