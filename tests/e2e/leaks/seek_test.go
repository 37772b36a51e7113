// SPDX-License-Identifier: Apache-2.0

package leaks

import (
	"fmt"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/gateway-init/gateway-init/tests/harness"
)

// Numbers of the seekers' test.
const (
	launches = 200  // of which a seeker must have seen the re-exec child
	batch    = 50   // launches between two looks
	most     = 2000 // launches at all: on a busy machine a seeker sees every fifth re-exec child
)

const (
	seekDir     = "/tmp/seek"
	seekProgram = "/usr/local/bin/demogateway" // what a re-exec child of the gateway calls itself besides
)

var launched = regexp.MustCompile(`(?m)^restart: restarted: pid \d+ → (\d+), proven`)
var tokenLine = regexp.MustCompile(`(?m)^token: ([0-9a-f]{64})$`)

// hunted is a container in which seekers of the gateway's user look for tokens.
type hunted struct {
	*harness.Container
	planted []string
	tokens  []string
	pids    []int // of the gateways that were launched
}

// startHunt starts them. Docker's seccomp profile refuses pidfd_getfd(2): it is
// taken away, so that the kernel decides.
func startHunt(t *testing.T, extra ...string) *hunted {
	t.Helper()
	h := &hunted{}
	for _, digit := range []string{"a1", "b2", "c3"} {
		h.planted = append(h.planted, strings.Repeat(digit, 32))
	}
	h.Container = start(t, harness.Options{
		Extra: append([]string{"--security-opt", "seccomp=unconfined"}, extra...),
		Config: map[string]any{"sidecars": []any{map[string]any{
			"name": "pair", "command": []string{"/usr/local/bin/demotools", "sleep", "3600"}, "user": "operator", "token_env": "PAIR_TOKEN",
		}}},
	})
	h.tokens = []string{h.Token()}
	h.Tools("gateway", "mkdir", seekDir, "0700")
	flags := []string{"-d", "-e", "SEEK_PLANTED=" + strings.Join(h.planted, " ")}
	if r := h.ExecFlags(flags, "root", nil, "demotools", "hunt", strconv.Itoa(harness.GatewayUID), seekDir); r.Code != 0 {
		t.Fatal(r)
	}
	harness.Eventually(t, boot, "seekers that find what was planted", func() error {
		if _, err := os.Stat(h.HostPath(seekDir + "/loot")); err != nil {
			return err
		}
		return h.plantedFound(t)
	})
	return h
}

// plantedFound tells whether each way works on a process that does not protect
// itself.
func (h *hunted) plantedFound(t *testing.T) error {
	loot := readLoot(t, h.Container, seekDir+"/loot")
	for i, want := range [][]string{{"environ", "mem"}, {"getfd"}, {"getfd", "fd"}} {
		found := ways(t, loot, h.planted[i])
		for _, way := range want {
			if found[way] == 0 {
				return fmt.Errorf("planted secret %d was not found by %s but by %v, in %d lines", i, way, found, len(loot))
			}
		}
	}
	return nil
}

// rounds restarts the gateway n times and notes its pids and tokens. The error is
// that of a call that failed.
func (h *hunted) rounds(t *testing.T, n int) error {
	t.Helper()
	r := h.Exec("root", "demotools", "rounds", strconv.Itoa(n))
	out := r.Stdout
	pids := launched.FindAllStringSubmatch(out, -1)
	for _, m := range pids {
		pid, err := strconv.Atoi(m[1])
		if err != nil {
			t.Fatal(err)
		}
		h.pids = append(h.pids, pid)
	}
	for _, m := range tokenLine.FindAllStringSubmatch(out, -1) {
		if !slices.Contains(h.tokens, m[1]) {
			h.tokens = append(h.tokens, m[1])
		}
	}
	if r.Code != 0 || len(pids) != n {
		return fmt.Errorf("%d of %d restarts: %v", len(pids), n, r)
	}
	return nil
}

// log is what the seekers noted, and of how many launches they saw the re-exec child.
func (h *hunted) log(t *testing.T) (lines map[string]int, seen int) {
	t.Helper()
	data, err := os.ReadFile(h.HostPath(seekDir + "/log"))
	if err != nil {
		t.Fatal(err)
	}
	lines = map[string]int{}
	for line := range strings.Lines(string(data)) {
		lines[strings.TrimSpace(line)]++
	}
	for _, pid := range h.pids {
		if lines[fmt.Sprintf("reexec %d %s", pid, seekProgram)] > 0 {
			seen++
		}
	}
	return lines, seen
}

// Invariant I10, the processes. A program of the gateway's user looks into
// every process and file while the gateway is launched, probed, drained and
// given new tokens: the kernel lets it have no token. A launch whose re-exec child no
// seeker saw does not count.
func TestSeekers(t *testing.T) {
	h := startHunt(t)
	seen := 0
	var lines map[string]int
	for seen < launches {
		if len(h.pids) >= most {
			t.Fatalf("the seekers saw the re-exec child of %d launches in %d", seen, len(h.pids))
		}
		if err := h.rounds(t, min(batch, launches-seen+1)); err != nil {
			t.Fatal(err)
		}
		lines, seen = h.log(t)
		if found := ways(t, readLoot(t, h.Container, seekDir+"/loot"), h.tokens...); len(found) != 0 {
			t.Fatalf("after %d launches the gateway's user has a token: lines of the loot by way: %v", len(h.pids), found)
		}
	}
	workers := 0
	for line, n := range lines {
		switch {
		case strings.HasSuffix(line, " worker"):
			workers++
		case !strings.HasPrefix(line, "reexec "):
			t.Logf("noted by %d seekers: %s", n, line)
		}
	}
	t.Logf("%d launches, of %d a seeker saw the re-exec child, %d workers, %d tokens", len(h.pids), seen, workers, len(h.tokens))
	if len(h.tokens) < launches/5 || workers == 0 {
		t.Errorf("%d tokens and %d workers: nothing was tried", len(h.tokens), workers)
	}
	if err := h.plantedFound(t); err != nil {
		t.Error(err)
	}
}

// With a gateway-init that its user may read the same seekers win: the mode is
// what the other test rests on.
func TestSeekersWinWhereReexecChildIsTraceable(t *testing.T) {
	h := startHunt(t, traceable(t)...)
	for range 4 * launches / batch {
		// A seeker that traces the re-exec child or the worker can hold it, too: then a call
		// has no answer in time.
		if err := h.rounds(t, batch/2); err != nil {
			t.Log(err)
		}
		if found := ways(t, readLoot(t, h.Container, seekDir+"/loot"), h.tokens...); len(found) != 0 {
			t.Logf("after %d launches a seeker had a token: %v", len(h.pids), found)
			return
		}
	}
	t.Errorf("%d launches by a re-exec child that can be traced, and no seeker had a token", len(h.pids))
}
