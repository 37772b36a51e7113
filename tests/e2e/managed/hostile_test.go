// SPDX-License-Identifier: Apache-2.0

package managed

import (
	"fmt"
	"os"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gateway-init/gateway-init/tests/harness"
)

// The controllers run against the hostile agent in several containers at once. A round
// takes its whole deadline if the agent holds the port or stops the gateway.
const (
	boxes    = 4
	deadline = 2 * time.Second
	patience = 30 * time.Second // a command that takes longer beyond its deadline hangs
)

var (
	claim = regexp.MustCompile(`^(?:restarted|started|adopted|already running|already ours): pid (\d+)(?: → (\d+))?, proven\n$`)
	begun = regexp.MustCompile(`"event":"gateway-started","pid":(\d+),`)
)

// An agent with the supervisor's user attacks root's restarts. Success is only reported
// for a gateway that the supervisor itself has started, only a gateway gets a signal,
// and no command lasts beyond its deadline. Once the agent has ended, a restart works.
func TestHostileAgent(t *testing.T) {
	var succeeded, failed, replaced atomic.Int64
	rounds := harness.Rounds(t, 60, 1000)
	t.Run("rounds", func(t *testing.T) {
		for i := range boxes {
			t.Run(fmt.Sprint(i), func(t *testing.T) {
				t.Parallel()
				runAttack(t, rounds/boxes, &succeeded, &failed, &replaced)
			})
		}
	})
	t.Logf("%d rounds succeeded, of which %d replaced a gateway; %d failed", succeeded.Load(), replaced.Load(), failed.Load())
	if replaced.Load() == 0 || failed.Load() == 0 {
		t.Error("an agent that always or never wins shows nothing")
	}
}

func runAttack(t *testing.T, rounds int, succeeded, failed, replaced *atomic.Int64) {
	dir := harness.HostDir(t, "struck", harness.NonRootUID, 0o777)
	box := harness.Start(t, harness.Options{Command: idle, Extra: []string{"-v", dir + ":/struck"},
		Config: map[string]any{"gateway": map[string]any{
			"stop": map[string]any{"grace": "200ms"}, "restart": map[string]any{"backoff_min": "50ms", "backoff_max": "200ms"},
			"health": map[string]any{"timeout": "500ms"}}}})
	box.WaitServing(serveBy)
	box.ExecDetached("sandbox", "demotools", "hostile", "/struck/log")
	claimed, replacements := map[string]bool{}, map[string]int{}
	verbs := []string{"restart", "restart", "restart", "recover", "adopt"}
	for i := range rounds {
		began := time.Now()
		r := root(box, verbs[i%len(verbs)], "--timeout", deadline.String())
		if took := time.Since(began); took > deadline+patience {
			t.Errorf("round %d took %v: %v", i, took, r)
		}
		if r.Code != 0 {
			failed.Add(1)
			if r.Stdout != "" {
				t.Errorf("round %d failed and claimed: %v", i, r)
			}
			continue
		}
		succeeded.Add(1)
		m := claim.FindStringSubmatch(r.Stdout)
		if m == nil {
			t.Fatalf("round %d: %v", i, r)
		}
		claimed[m[1]] = !strings.HasPrefix(r.Stdout, "adopted") // an adopted gateway was unmanaged
		if m[2] != "" {
			claimed[m[2]] = true
			replacements[m[2]]++
			replaced.Add(1)
		}
	}
	log := box.Logs()
	starts := map[string]int{} // a pid may be used again
	for _, m := range begun.FindAllStringSubmatch(log, -1) {
		starts[m[1]]++
	}
	for pid, ours := range claimed {
		if ours && starts[pid] == 0 {
			t.Errorf("pid %s was claimed, and the supervisor has not started it", pid)
		}
	}
	for pid, n := range replacements {
		if n > starts[pid] {
			t.Errorf("pid %s was claimed %d times as a new gateway, and the supervisor has started it %d times", pid, n, starts[pid])
		}
	}
	if strings.Contains(log, `"event":"exit-authorized","pid":0`) {
		t.Error("an authorization for nobody")
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
