// SPDX-License-Identifier: Apache-2.0

package load

import (
	"fmt"
	"testing"
	"time"

	"github.com/gateway-init/gateway-init/tests/harness"
)

// maxWakeups is the number of wakeups a minute that are allowed between two health
// checks. The Go runtime's monitor thread has one.
const maxWakeups = 3

// An init that wakes up keeps the CPU of a laptop or of a dense host from
// sleeping. Between two health checks PID 1 hardly runs at all.
func TestIdleMinute(t *testing.T) {
	t.Parallel()
	c := harness.Start(t, harness.Options{Config: map[string]any{
		"gateway": map[string]any{"health": map[string]any{"interval": "10m"}}}})
	c.WaitServing(30 * time.Second)
	pid := c.HostPID()
	// The runtime's own threads go to sleep some time after the last work, later on a
	// busy machine.
	var last usage
	var since time.Time
	harness.Eventually(t, 2*time.Minute, "PID 1 to come to rest", func() error {
		now := measure(t, pid)
		if now.switches != last.switches {
			last, since = now, time.Now()
		}
		if rest := time.Since(since); rest < 5*time.Second {
			return fmt.Errorf("at rest for %v: %v", rest, now)
		}
		return nil
	})
	start := measure(t, pid)
	minute := time.NewTimer(time.Minute) // the minute that is measured
	<-minute.C
	end := measure(t, pid)
	t.Logf("before: %v; a minute later: %v", start, end)
	if woken := end.switches - start.switches; woken > maxWakeups {
		t.Errorf("PID 1 woke up %d times in an idle minute", woken)
	}
	if end.rssKB > maxRSS {
		t.Errorf("PID 1 has %d KiB, more than %d", end.rssKB, maxRSS)
	}
}
