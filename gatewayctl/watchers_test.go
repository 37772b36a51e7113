// SPDX-License-Identifier: Apache-2.0

package main

import (
	"os"
	"os/signal"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/gateway-init/gateway-init/internal/status"
)

// TestIsWatcher checks which command lines count as one that watches or waits.
func TestIsWatcher(t *testing.T) {
	for line, want := range map[string]bool{
		"": false, "gatewayctl": false, "gatewayctl nonsense": false, "gatewayctl --bad status": false,
		"gatewayctl status --watch": true, "gatewayctl status -watch --json": true, "/usr/local/bin/gatewayctl --runtime-dir /x status --json --watch": true,
		"gatewayctl wait": true, "gatewayctl wait --timeout 1h": true,
		"gatewayctl status": false, "gatewayctl status --json": false, "gatewayctl exec wait": false, "gatewayctl restart": false, "gatewayctl help status": false,
	} {
		if got := isWatcher(strings.Fields(line)); got != want {
			t.Errorf("%q: %v", line, got)
		}
	}
}

// TestWatchEndsByItself checks that a watch ends at its --timeout, with the exit code of
// the last status.
func TestWatchEndsByItself(t *testing.T) {
	w := newFixture(t)
	if code := w.watch(format{}, time.Millisecond); code != exitNoSupervisor {
		t.Errorf("exit code %d", code)
	}
	if got := w.err.String(); got != "gatewayctl: the watch ended after 1ms (--timeout)\n" {
		t.Errorf("stderr %q", got)
	}
}

// TestSignalEndsAWatch checks that a watch and a wait name the signal that ended them, and
// the limit for which a later watcher may have sent it.
func TestSignalEndsAWatch(t *testing.T) {
	ours := make(chan os.Signal, 1)
	signal.Notify(ours, syscall.SIGTERM) // one that comes before they listen must not end the test
	defer signal.Stop(ours)
	for name, c := range map[string]struct {
		args []string
		code int
		says string
	}{
		"watch": {[]string{"status", "--watch"}, exitNotServing, "gatewayctl: the watch ended: terminated signal received: at most four"},
		"wait":  {[]string{"wait"}, exitFailed, "gatewayctl: cannot wait: terminated signal received\ngatewayctl: hint: at most four"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newFixture(t)
			w.record.State, w.record.Goal = status.Stopped, status.GoalStop
			w.up()
			code := make(chan int)
			go func() { code <- w.run(c.args...) }()
			deadline := time.After(10 * time.Second)
			for {
				must(t, syscall.Kill(os.Getpid(), syscall.SIGTERM))
				select {
				case got := <-code:
					if got != c.code || !strings.HasPrefix(w.err.String(), c.says) {
						t.Errorf("exit code %d, stderr %q", got, w.err.String())
					}
					return
				case <-deadline:
					t.Fatal("it goes on")
				case <-time.After(20 * time.Millisecond):
				}
			}
		})
	}
}
