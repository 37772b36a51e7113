// SPDX-License-Identifier: Apache-2.0

// Package lifecycle tests scenarios L01 to L11, and L24, with the shipped image: how a
// gateway ends, is started again, is found unresponsive and is requested.
package lifecycle

import (
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/gateway-init/gateway-init/internal/status"
	"github.com/gateway-init/gateway-init/tests/harness"
)

// object is a JSON object of the configuration or of a misbehavior.
type object = map[string]any

// serveBy bounds a start on a loaded machine; a good gateway takes 20 ms.
const serveBy = 20 * time.Second

// never is a duration that does not pass in a test.
const never = "1h"

func TestMain(m *testing.M) {
	os.Exit(harness.Main(m, harness.MainOptions{SideBySide: 6, Topologies: []string{
		"TestRestartEndsWithProvenReplacement", // the user who may send requests and read replies
		"TestProcessOnThePortIsNamed",          // the sweep, and the owner of a listener
		"TestVerbsInEachState",                 // the same, and the supervisor that gatewayctl finds
		"TestWaitSpansABoot",                   // a supervisor that does not run yet
		"TestSecondSupervisor",                 // the owner of the runtime directory
		"TestMetricsTellStateAndRestarts",      // the checks of gatewayctl, as its own user
		"TestOOMScores",                        // a re-exec child without root sets its own score
	}}))
}

// gatewayConfig returns a configuration with these keys of "gateway".
func gatewayConfig(keys object) object { return object{"gateway": keys} }

// event is a log line of PID 1.
type event struct {
	Event      string `json:"event"`
	Reason     string `json:"reason"`
	Detail     string `json:"detail"`
	Delay      string `json:"delay"`
	PID        int    `json:"pid"`
	StartTicks uint64 `json:"start_ticks"`
	Code       int    `json:"code"`
	Failures   int    `json:"failures"`
	Failure    bool   `json:"failure"`
}

// tick is the unit of a start time in /proc/PID/stat on every Linux.
const tick = 10 * time.Millisecond

// startGap returns the time between the starts of two processes, by the kernel's
// clock. The engine's time of a log line is when it read the line.
func startGap(first, second event) time.Duration {
	return time.Duration(second.StartTicks-first.StartTicks) * tick
}

// events returns PID 1's log lines of those names, in order, as soon as there are at least
// so many. PID 1 never waits for its log, so a line may come after the reply to a request
// and after the status record that it belongs to.
func events(t testing.TB, c *harness.Container, least int, names ...string) (all []event) {
	t.Helper()
	harness.Eventually(t, serveBy, fmt.Sprintf("%d of %v in the log", least, names), func() error {
		all = nil
		for line := range strings.Lines(c.Logs()) {
			var e event
			if strings.HasPrefix(line, "{") && json.Unmarshal([]byte(line), &e) == nil && slices.Contains(names, e.Event) {
				all = append(all, e)
			}
		}
		if len(all) < least {
			return fmt.Errorf("%+v", all)
		}
		return nil
	})
	return all
}

// signal sends a signal to a process of the container, as an operator does.
func signal(c *harness.Container, pid int, name string) {
	c.Tools("", "sigsend", strconv.Itoa(pid), name)
}

// life returns a text that changes when the container is restarted or recreated.
func life(c *harness.Container) string {
	r := c.Status()
	return fmt.Sprintf("PID 1 since %v, host pid %d", r.StartedAt, c.HostPID())
}

// checkSameLife fails the test if the container was restarted or recreated meanwhile.
func checkSameLife(t testing.TB, c *harness.Container, before string) {
	t.Helper()
	if now := life(c); now != before {
		t.Errorf("the container is not in the same life: %s, was %s", now, before)
	}
}

// checkProven fails the test unless each check of the proof held.
func checkProven(t testing.TB, r status.Record) {
	t.Helper()
	p := r.Proof
	if p.Child != status.Held || p.Listener != status.Held || p.Ready != status.Held || p.Auth != status.Held {
		t.Errorf("not fully proven: %+v", p)
	}
}

// want fails the test if a command did not end with that code, or if its output lacks
// a word.
func want(t testing.TB, what string, r harness.Result, code int, words ...string) {
	t.Helper()
	if r.Code != code {
		t.Errorf("%s: want exit code %d, got %v", what, code, r)
	}
	for _, w := range words {
		if !strings.Contains(r.Stdout+r.Stderr, w) {
			t.Errorf("%s: %q is missing in %v", what, w, r)
		}
	}
}
