// SPDX-License-Identifier: Apache-2.0

package load

import (
	"fmt"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gateway-init/gateway-init/tests/harness"
)

// maxRSS bounds the memory of PID 1, in KiB.
const maxRSS = 4096

const restartsInARow = 1000

// A supervisor that leaks a descriptor or a zombie with each restart fails weeks
// later.
func TestThousandRestarts(t *testing.T) {
	t.Parallel()
	c := harness.Start(t, harness.Options{})
	c.WaitServing(30 * time.Second)
	// One call of the engine does all restarts, because a call takes longer than one.
	restart := func(n int) { c.Tools("root", "repeat", strconv.Itoa(n), "/usr/local/bin/gatewayctl", "restart") }
	restart(50) // some memory is allocated only once
	before := measure(t, c.HostPID())
	restart(restartsInARow - 50)
	after := measure(t, c.HostPID())
	t.Logf("after 50: %v; after %d: %v", before, restartsInARow, after)
	r := c.Status()
	if r.Restarts != restartsInARow || r.Crashes != 0 {
		t.Errorf("status counts %d restarts and %d crashes", r.Restarts, r.Crashes)
	}
	if after.fds != before.fds {
		t.Errorf("descriptors: %d, then %d", before.fds, after.fds)
	}
	if after.threads > before.threads+2 { // the runtime may replace one that it parked
		t.Errorf("threads: %d, then %d", before.threads, after.threads)
	}
	if after.rssKB > maxRSS {
		t.Errorf("PID 1 has %d KiB, more than %d", after.rssKB, maxRSS)
	}
	// Half a KiB for each restart is a leak. The newest 4096 nonces take less.
	if grown := after.rssKB - before.rssKB; grown > restartsInARow/2 {
		t.Errorf("PID 1 has grown by %d KiB in %d restarts", grown, restartsInARow)
	}
	harness.Eventually(t, 5*time.Second, "no zombie", func() error { return checkNoZombies(c) })
	if lost := strings.Count(c.Logs(), `"level":"error"`); lost != 0 {
		t.Errorf("%d error lines in the log", lost)
	}
}

// Sixty-four simultaneous requests (as of a script that retries) get one definite
// answer each, and there are never two gateways.
func TestSimultaneousRestarts(t *testing.T) {
	c := harness.Start(t, harness.Options{})
	c.WaitServing(30 * time.Second)
	rounds := harness.Rounds(t, 2, 5)
	for round := range rounds {
		done := make(chan struct{})
		watched := make(chan error, 1)
		go func() { watched <- watchGateways(c, done) }()
		results := make([]harness.Result, 64)
		var all sync.WaitGroup
		for i := range results {
			all.Go(func() { results[i] = c.Ctl("restart", "--timeout", "60s") })
		}
		all.Wait()
		close(done)
		if err := <-watched; err != nil {
			t.Errorf("round %d: %v", round, err)
		}
		for i, r := range results {
			if r.Code != 0 {
				t.Errorf("round %d, request %d: %v", round, i, r)
			}
		}
	}
	r := c.WaitServing(10 * time.Second)
	// Merged requests count once. A restart in progress absorbs none, so each round has
	// two at least.
	if r.Restarts < 2*rounds || r.Restarts > rounds*64 {
		t.Errorf("%d restarts were done for %d requests in %d rounds", r.Restarts, rounds*64, rounds)
	}
	t.Logf("%d requests were answered by %d restarts", rounds*64, r.Restarts)
}

// watchGateways counts again and again, from the host, the processes that run as the
// gateway's user with the gateway's program. Proof workers share the user but are
// re-exec children of gateway-init.
func watchGateways(c *harness.Container, done <-chan struct{}) error {
	looks := 0
	tick := time.NewTicker(10 * time.Millisecond) // each look takes processor time from the restarts
	defer tick.Stop()
	for ; ; <-tick.C {
		select {
		case <-done:
			if looks < 5 {
				return fmt.Errorf("looked only %d times", looks)
			}
			return nil
		default:
		}
		var pids []string
		for _, p := range c.Processes() {
			if p.UID == harness.GatewayUID && strings.HasPrefix(p.Comm, "demogateway") && p.State != "Z" {
				pids = append(pids, strconv.Itoa(p.PID))
			}
		}
		looks++
		if len(pids) > 1 {
			return fmt.Errorf("two gateways at once: pids %s", strings.Join(pids, ", "))
		}
	}
}
