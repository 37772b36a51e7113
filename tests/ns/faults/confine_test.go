// SPDX-License-Identifier: Apache-2.0

package faults

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/gateway-init/gateway-init/internal/status"
	"github.com/gateway-init/gateway-init/tests/ns/box"
)

// unconfined is the demo's configuration without the rule of gateway.confine.
var unconfined = map[string]any{"gateway": map[string]any{"confine": "none"}}

// toolRead has the gateway's file tool read a path, as its agent does.
func toolRead(b *box.Box, path string) string {
	body, _ := json.Marshal(map[string]string{"tool": "read", "path": path})
	return b.Tools(box.SandboxUID, "http", "POST", "http://127.0.0.1:18789/agent/tool", string(body))
}

// TestConfinedGatewayKeepsItsFiles checks that a confined gateway reads its own files in
// /proc, and those of the machine, also when the kernel has forgotten their names, and after
// each kind of new start. It reads none of another process. A file tool of a gateway that
// is not confined reads them all.
func TestConfinedGatewayKeepsItsFiles(t *testing.T) {
	for name, config := range map[string]map[string]any{"confined": quiet, "not-confined": unconfined} {
		t.Run(name, func(t *testing.T) {
			b := box.Start(t, box.Options{Config: config, Command: []string{"/usr/local/bin/demotools", "sleep", "1000"}})
			r := b.WaitServing(20 * time.Second)
			if got := b.Log(); strings.Contains(got, "environment-open-in-children") != (name == "not-confined") || strings.Contains(got, "gateway-not-confined") {
				t.Errorf("hardening:\n%s", got)
			}
			for i, again := range []func(){
				func() {}, // the first one
				func() { b.MustCtl("restart") },
				func() { b.Tools(0, "sigsend", fmt.Sprint(r.Gateway.PID), "KILL") },
				func() { b.MustCtl("stop"); b.MustCtl("start") },
			} {
				before := r.Gateway.Process
				again()
				r = b.WaitRecord(20*time.Second, "a gateway", func(r status.Record) error {
					if r.State != status.Running || i > 0 && r.Gateway.Process == before {
						return fmt.Errorf("%s, gateway %+v", r.State, r.Gateway.Process)
					}
					return nil
				})
				if err := os.WriteFile("/proc/sys/vm/drop_caches", []byte("2"), 0); err != nil {
					t.Fatal(err)
				}
				for _, path := range []string{"/proc/self/stat", fmt.Sprintf("/proc/%d/status", r.Gateway.PID), "/proc/meminfo", "/proc/cpuinfo", "/proc/sys/kernel/osrelease"} {
					if got := toolRead(b, path); !strings.HasPrefix(got, "200\n") {
						t.Errorf("%s: %.200s", path, got)
					}
				}
				for _, path := range []string{"/proc/1/stat", "/proc/1/cmdline", fmt.Sprintf("/proc/%d/stat", r.Command.PID), "/proc/cmdline"} {
					if got := toolRead(b, path); strings.HasPrefix(got, "403\n") != (name == "confined") {
						t.Errorf("%s: %.200s", path, got)
					}
				}
			}
		})
	}
}
