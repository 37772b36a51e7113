// SPDX-License-Identifier: Apache-2.0

package lifecycle

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/gateway-init/gateway-init/tests/harness"
)

// Out of memory, the kernel kills the agent's processes first, then the gateway, and
// PID 1 last. The score of a re-exec child is easily lost, because a child that is not
// dumpable cannot write its own file.
func TestOOMScores(t *testing.T) {
	t.Parallel()
	sidecar := func(name, user string) object {
		return object{"name": name, "user": user, "command": []string{"/usr/local/bin/demotools", "sleep", "3600"}}
	}
	pair := sidecar("pair", "operator")
	pair["token_env"] = "PAIR_TOKEN"
	c := harness.Start(t, harness.Options{
		Command: []string{"demotools", "sleep", "3600"},
		Config:  object{"sidecars": []any{sidecar("node", "sandbox"), pair}},
	})
	c.WaitServing(serveBy)
	for _, after := range []string{"start", "restart"} {
		r := c.WaitStatus(serveBy, "everything beside the gateway", func(v harness.View) error {
			if s := v.Record.Sidecars; !v.Serving || s[0].State != "running" || s[1].State != "running" || v.Record.Command.PID == 0 {
				return fmt.Errorf("serving %t, sidecars %+v, command %+v", v.Serving, s, v.Record.Command)
			}
			return nil
		})
		for name, p := range map[string]struct {
			pid  int
			want string
		}{
			"gateway": {r.Gateway.PID, "100"}, "command": {r.Command.PID, "1000"},
			"node": {r.Sidecars[0].PID, "1000"}, "pair": {r.Sidecars[1].PID, "1000"},
		} {
			data, err := os.ReadFile(fmt.Sprintf("/proc/%d/oom_score_adj", c.HostPIDOf(p.pid)))
			if got := strings.TrimSpace(string(data)); err != nil || got != p.want {
				t.Errorf("after a %s: %s has the score %s, want %s (%v)", after, name, got, p.want, err)
			}
		}
		// PID 1 raises its own score for an instant around each fork.
		harness.Eventually(t, serveBy, "PID 1 to have its own score", func() error {
			var score int
			data, err := os.ReadFile(fmt.Sprintf("/proc/%d/oom_score_adj", c.HostPID()))
			if err == nil {
				_, err = fmt.Sscan(string(data), &score)
			}
			if err == nil && score >= 100 {
				err = fmt.Errorf("it is %d", score)
			}
			return err
		})
		c.MustCtl("restart")
	}
	for _, w := range c.Status().Hardening {
		if w.Name == "oom-score" {
			t.Errorf("the scores are said to be lost: %+v", w)
		}
	}
}
