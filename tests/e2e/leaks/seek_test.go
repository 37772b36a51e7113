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

// Limits of the seekers' test.
const (
	launches = 200  // launches whose re-exec child a seeker must have seen
	batch    = 50   // launches between two searches
	most     = 2000 // all launches; on a busy machine a seeker sees every fifth re-exec child
)

const (
	seekDir     = "/tmp/seek"
	seekProgram = "/usr/local/bin/demogateway" // the other name of a re-exec child of the gateway
)

var launched = regexp.MustCompile(`(?m)^restart: restarted: pid \d+ → (\d+), proven`)
var tokenLine = regexp.MustCompile(`(?m)^token: ([0-9a-f]{64})$`)

// hunted is a container in which seekers of the gateway's user look for tokens.
type hunted struct {
	*harness.Container
	planted []string
	tokens  []string
	pids    []int // of all launched gateways
}

// startHunt starts the seekers. Docker's seccomp profile refuses pidfd_getfd(2). It
// is disabled, so that the kernel decides.
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

// plantedFound checks that each way works on a process that does not protect
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

// rounds restarts the gateway n times and records its pids and tokens. It returns
// the error of a failed call.
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

// log returns the seekers' log, and the number of launches whose re-exec child they
// saw.
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

// Invariant I10, the processes. A program of the gateway's user looks into every
// process and file while the gateway is launched, probed, drained and given new
// tokens. The kernel gives it no token. A launch does not count if no seeker saw
// its re-exec child.
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

// TestSeekersWinWhereReexecChildIsTraceable makes gateway-init readable. Then the
// same seekers win. TestSeekers relies on the mode of gateway-init.
func TestSeekersWinWhereReexecChildIsTraceable(t *testing.T) {
	h := startHunt(t, traceable(t)...)
	for range 4 * launches / batch {
		// A seeker that traces the re-exec child or the worker can also stop it.
		// Then a call times out.
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
