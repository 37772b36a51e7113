// SPDX-License-Identifier: Apache-2.0

package invariants

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/gateway-init/gateway-init/tests/harness"
)

// Invariant I1. The token is only in its file, in the gateway's environment and in
// that of a sidecar with token_env. PID 1 keeps only its SHA-256. The host looks
// into every process, and into PID 1's memory too, because the operator's sidecar
// got its token through a pipe of PID 1.
func TestTokenStaysWhereItBelongs(t *testing.T) {
	c := harness.Start(t, harness.Options{
		Command: []string{"demotools", "sleep", "600"},
		Config: map[string]any{"sidecars": []any{
			map[string]any{"name": "side", "command": []string{"/usr/local/bin/demotools", "sleep", "601"}, "user": "operator"},
			map[string]any{"name": "pair", "command": []string{"/usr/local/bin/demotools", "sleep", "602"}, "user": "operator", "token_env": "PAIR_TOKEN"}}},
	})
	c.WaitServing(30 * time.Second)
	c.MustCtl("restart")
	first := c.Token()
	c.MustCtl("restart", "--rotate-token")
	c.MustCtl("probe")
	c.WaitServing(30 * time.Second)
	r := c.WaitStatus(30*time.Second, "the sidecars", func(v harness.View) error {
		if s := v.Record.Sidecars; s[0].State != "running" || s[1].State != "running" {
			return fmt.Errorf("%+v", s)
		}
		return nil
	})
	variable := map[int]string{r.Gateway.PID: "OPENCLAW_GATEWAY_TOKEN=", r.Sidecars[1].PID: "PAIR_TOKEN="}
	for _, token := range []string{first, c.Token()} {
		raw, err := hex.DecodeString(token)
		if err != nil {
			t.Fatal(err)
		}
		n := readMemory(t, c.HostPID(), func(at uint64, piece []byte) {
			for i := 0; i+16 <= len(token); i++ {
				if bytes.Contains(piece, []byte(token[i:i+16])) {
					t.Fatalf("PID 1's memory has part of the token near %x", at)
				}
			}
			if bytes.Contains(piece, raw[:16]) || bytes.Contains(piece, raw[16:]) {
				t.Fatalf("PID 1's memory has the token's bytes near %x", at)
			}
		})
		if n < 1<<20 {
			t.Fatalf("looked at only %d bytes of PID 1", n)
		}
		holders := 0
		for _, p := range c.Processes() {
			for _, name := range []string{"environ", "cmdline"} {
				data, err := os.ReadFile(fmt.Sprintf("/proc/%d/%s", p.HostPID, name))
				if err != nil {
					continue // it ended meanwhile
				}
				switch has := bytes.Contains(data, []byte(token)); {
				case has && name == "environ" && variable[p.PID] != "":
					holders++
					if n := bytes.Count(data, []byte(variable[p.PID])); n != 1 {
						t.Errorf("%s has %d entries", p.Comm, n)
					}
				case has:
					t.Errorf("%s of process %d (%s) has the token", name, p.PID, p.Comm)
				}
			}
		}
		want := 2
		if token == first {
			want = 0
		}
		if holders != want {
			t.Errorf("%d processes hold the token, want %d", holders, want)
		}
	}
	if log := c.Logs(); strings.Contains(log, first[:16]) || strings.Contains(log, c.Token()[:16]) {
		t.Error("the log has the token")
	}
}

// The search of the memory finds the token in the gateway's memory.
func TestMemoryIsSearched(t *testing.T) {
	c := harness.Look(t, "readme", harness.Options{})
	found := false
	readMemory(t, c.GatewayHostPID(), func(_ uint64, piece []byte) {
		found = found || bytes.Contains(piece, []byte(c.Token()))
	})
	if !found {
		t.Error("the gateway's memory does not have its token: the search is blind")
	}
}
