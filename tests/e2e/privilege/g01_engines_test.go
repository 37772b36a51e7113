// SPDX-License-Identifier: Apache-2.0

package privilege

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gateway-init/gateway-init/tests/harness"
)

// Scenario G01. gateway-init boots with no_new_privs, without SETPCAP,
// without DAC_OVERRIDE, with four capabilities, with a read-only root and
// with a home that is not writable. Each missing protection is one log line
// and one entry in the status.
//
// Images ran on engines that grant less, or much more, than their author's engine.
// They did not boot, or ran unprotected without a message.
func TestEachMissingProtectionIsNamed(t *testing.T) {
	tmp := []string{"--tmpfs", "/run/gateway-init:mode=0711,size=1m", "--tmpfs", "/tmp"}
	four := []string{"--cap-drop", "ALL", "--cap-add", "SETUID", "--cap-add", "SETGID", "--cap-add", "KILL", "--cap-add", "CHOWN"}
	for name, c := range map[string]struct {
		flags   []string
		noState bool
		missing []string // names under hardening, all of them
	}{
		"readme": {harness.ReadmeFlags(), false, nil},
		"plain":  {[]string{}, false, []string{"engine-capabilities", "engine-no-new-privs", "pids-limit", "rootfs-writable"}},
		"no-new-privs": {append([]string{"--security-opt", "no-new-privileges"}, tmp...), false,
			[]string{"engine-capabilities", "pids-limit", "rootfs-writable"}},
		"no-setpcap": {append([]string{"--cap-drop", "SETPCAP"}, tmp...), false,
			[]string{"bounding-set", "engine-capabilities", "engine-no-new-privs", "pids-limit", "rootfs-writable"}},
		"no-dac-override": {append([]string{"--cap-drop", "DAC_OVERRIDE"}, tmp...), false,
			[]string{"engine-capabilities", "engine-no-new-privs", "pids-limit", "rootfs-writable"}},
		"four-capabilities": {append(four, tmp...), false,
			[]string{"bounding-set", "engine-no-new-privs", "pids-limit", "rootfs-writable"}},
		"read-only": {append([]string{"--read-only"}, tmp...), false,
			[]string{"engine-capabilities", "engine-no-new-privs", "pids-limit"}},
		"read-only-without-tmpfs": {[]string{"--read-only", "--tmpfs", "/tmp"}, false,
			[]string{"engine-capabilities", "engine-no-new-privs", "pids-limit"}},
		"home-not-writable": {harness.ReadmeFlags(), true, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			box := harness.Start(t, harness.Options{Flags: c.flags, NoState: c.noState, Published: true})
			box.WaitServing(30 * time.Second)
			box.MustCtl("restart")
			r := box.WaitServing(30 * time.Second)
			var names []string
			for _, h := range r.Hardening {
				names = append(names, h.Name)
				if h.Detail == "" {
					t.Errorf("%s: no detail", h.Name)
				}
				if n := strings.Count(box.Logs(), `"event":"hardening","name":"`+h.Name+`"`); n != 1 {
					t.Errorf("%s: %d log lines", h.Name, n)
				}
			}
			slices.Sort(names)
			want := slices.Sorted(slices.Values(c.missing))
			if !slices.Equal(names, want) {
				t.Errorf("hardening names %q, want %q", names, want)
			}
			human := box.Ctl("status", "-v").Stdout
			for _, name := range want {
				if !strings.Contains(human, name+": ") {
					t.Errorf("gatewayctl status does not name %s", name)
				}
			}
			// The children have no capabilities, whatever the engine granted.
			expect(t, "gateway", box.GatewayHostPID(), map[string]string{
				"CapInh": zeroCaps, "CapPrm": zeroCaps, "CapEff": zeroCaps, "CapAmb": zeroCaps, "NoNewPrivs": "1"})
		})
	}
	t.Run("require-hardening", func(t *testing.T) {
		t.Parallel()
		box := harness.Start(t, harness.Options{Flags: []string{}, Config: map[string]any{"require_hardening": true}})
		if code := box.WaitExit(30 * time.Second); code != 1 {
			t.Errorf("exit code %d, want 1", code)
		}
		if log := box.Logs(); !strings.Contains(log, "gateway-init: cannot start: require_hardening is set and") || strings.Contains(log, "demogateway:") {
			t.Errorf("log: %s", log)
		}
	})
}
