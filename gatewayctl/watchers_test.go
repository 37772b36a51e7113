// SPDX-License-Identifier: Apache-2.0

package main

import (
	"strings"
	"testing"
	"time"
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

// TestWatchEndsByItself checks the end of a watch that nobody interrupts, with the code of
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
