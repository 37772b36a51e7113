package managed

import (
	"fmt"
	"os"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"gatewayinit/tests/harness"
)

// rounds of a controller against the hostile agent, in so many containers at
// once. A round that meets a stopped witness takes its whole deadline.
const (
	rounds   = 1000
	boxes    = 4
	deadline = 2 * time.Second
	patience = 30 * time.Second // beyond a deadline: that is a hang, not a slow machine
)

var restarted = regexp.MustCompile(`^restarted: pid \d+ → (\d+), proven\n$|^started: pid (\d+), proven\n$`)

// An agent of the supervisor's own user does its worst against root's restarts:
// no success is claimed for anything but a gateway that the supervisor itself
// has started, nobody but a gateway gets a signal, and no command lasts beyond
// its deadline. Once the agent is gone the next restart works.
func TestHostileAgent(t *testing.T) {
	var succeeded, failed, replaced atomic.Int64
	t.Run("rounds", func(t *testing.T) {
		for i := range boxes {
			t.Run(fmt.Sprint(i), func(t *testing.T) {
				t.Parallel()
				attacked(t, rounds/boxes, &succeeded, &failed, &replaced)
			})
		}
	})
	t.Logf("%d rounds succeeded, of which %d replaced a gateway; %d failed", succeeded.Load(), replaced.Load(), failed.Load())
	if replaced.Load() == 0 || failed.Load() == 0 {
		t.Error("an agent that always or never wins shows nothing")
	}
}

func attacked(t *testing.T, rounds int, succeeded, failed, replaced *atomic.Int64) {
	dir := harness.HostDir(t, "struck", harness.NonRootUID, 0o777)
	box := harness.Start(t, harness.Options{Command: idle, Extra: []string{"-v", dir + ":/struck"},
		Config: map[string]any{"gateway": map[string]any{
			"stop": map[string]any{"grace": "200ms"}, "restart": map[string]any{"backoff_min": "50ms", "backoff_max": "200ms"},
			"health": map[string]any{"timeout": "500ms"}}}})
	box.WaitServing(serveBy)
	box.ExecDetached("sandbox", "demotools", "hostile", "/struck/log")
	claimed := map[string]bool{}
	verbs := []string{"restart", "restart", "restart", "recover", "adopt"}
	for i := range rounds {
		began := time.Now()
		r := root(box, verbs[i%len(verbs)], "--timeout", deadline.String())
		if took := time.Since(began); took > deadline+patience {
			t.Errorf("round %d took %v: %v", i, took, r)
		}
		if m := restarted.FindStringSubmatch(r.Stdout); m != nil && r.Code == 0 {
			claimed[m[1]+m[2]] = true
			if m[1] != "" {
				replaced.Add(1)
			}
		}
		if r.Code == 0 {
			succeeded.Add(1)
		} else {
			failed.Add(1)
		}
	}
	log := box.Logs()
	for pid := range claimed {
		if !strings.Contains(log, `"event":"gateway-started","pid":`+pid+",") {
			t.Errorf("pid %s was claimed, and the supervisor has not started it", pid)
		}
	}
	if strings.Contains(log, `"event":"exit-authorised","pid":0`) {
		t.Error("an authorisation for nobody")
	}
	if text, err := os.ReadFile(dir + "/log"); err == nil && len(text) > 0 {
		t.Errorf("strangers were signalled:\n%s", text)
	}
	for _, p := range box.Processes() {
		if box.OfAgent(p) && !strings.HasPrefix(p.State, "Z") && strings.Contains(cmdline(p), "\x00hostile\x00") {
			box.Exec("0:0", "demotools", "sigsend", fmt.Sprint(p.PID), "KILL")
		}
	}
	harness.Eventually(t, patience, "a restart when the agent is gone", func() error {
		for _, p := range box.Processes() {
			if strings.Contains(cmdline(p), "\x00bait\x00") {
				box.Exec("0:0", "demotools", "sigsend", fmt.Sprint(p.PID), "KILL")
			}
		}
		if r := root(box, "restart", "--timeout", "5s"); r.Code != 0 {
			return fmt.Errorf("%v", r)
		}
		return nil
	})
}

func cmdline(p harness.Process) string {
	text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", p.HostPID))
	return string(text)
}
