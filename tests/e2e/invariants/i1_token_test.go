package invariants

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"gatewayinit/tests/harness"
)

// I1: the token is in its file and in the gateway's environment and nowhere
// else; PID 1 keeps only its SHA-256. The host looks into every process, PID 1's
// memory included.
func TestInvariantI1(t *testing.T) {
	c := harness.Start(t, harness.Options{
		Command: []string{"demotools", "sleep", "600"},
		Config: map[string]any{"sidecars": []any{
			map[string]any{"name": "side", "command": []string{"/usr/local/bin/demotools", "sleep", "601"}, "user": "operator"}}},
	})
	c.WaitServing(30 * time.Second)
	c.MustCtl("restart")
	first := c.Token()
	c.MustCtl("restart", "--rotate-token")
	c.MustCtl("probe")
	c.WaitServing(30 * time.Second)
	gateway := c.Status().Gateway.PID
	for _, token := range []string{first, c.Token()} {
		raw, err := hex.DecodeString(token)
		if err != nil {
			t.Fatal(err)
		}
		n := memory(t, c.HostPID(), func(at uint64, piece []byte) {
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
				case has && name == "environ" && p.PID == gateway:
					holders++
					if n := bytes.Count(data, []byte("OPENCLAW_GATEWAY_TOKEN=")); n != 1 {
						t.Errorf("the gateway has %d entries", n)
					}
				case has:
					t.Errorf("%s of process %d (%s) has the token", name, p.PID, p.Comm)
				}
			}
		}
		want := 1
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

// The search finds what is there: a gateway's own memory has its token.
func TestMemoryIsSearched(t *testing.T) {
	c := harness.Start(t, harness.Options{})
	c.WaitServing(30 * time.Second)
	found := false
	memory(t, c.GatewayHostPID(), func(_ uint64, piece []byte) {
		found = found || bytes.Contains(piece, []byte(c.Token()))
	})
	if !found {
		t.Error("the gateway's memory does not have its token: the search is blind")
	}
}
