// SPDX-License-Identifier: Apache-2.0

package proof

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gateway-init/gateway-init/internal/status"
	"github.com/gateway-init/gateway-init/tests/harness"
)

// loot is the file with the bytes that the agent's listener received.
const loot = "/tmp/loot"

// Scenario P05. If the agent binds the port while the gateway is down, that
// is reported as listener-foreign. It is never a success, and the token is
// not sent.
//
// The agent took the port while the gateway was down. The supervisor saw that the
// port answered, reported the gateway as healthy, and sent the agent the token.
func TestForeignListenerNeverGetsTheToken(t *testing.T) {
	t.Parallel()
	for name, m := range map[string]struct {
		addr string
		down func(c *harness.Container)
	}{
		"stopped":      {fmt.Sprintf("127.0.0.1:%d", harness.Port), func(c *harness.Container) { c.MustCtl("stop") }},
		"stopped-ipv6": {fmt.Sprintf("[::1]:%d", harness.Port), func(c *harness.Container) { c.MustCtl("stop") }},
		"crash-loop": {fmt.Sprintf("127.0.0.1:%d", harness.Port), func(c *harness.Container) {
			c.SetMisbehave(map[string]any{"start_exit": 3})
			c.Ctl("restart")
			c.SetMisbehave(nil)
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := harness.Start(t, harness.Options{
				Extra: harness.IPv6(),
				Config: map[string]any{"gateway": map[string]any{
					"restart": map[string]any{"backoff_min": "2s", "backoff_max": "2s"}}},
			})
			old := c.WaitServing(20 * time.Second)
			token := c.Token()
			m.down(c)
			c.ExecDetached("sandbox", "demotools", "thief", "-hold", "0", m.addr, loot)
			harness.Eventually(t, 10*time.Second, "the agent's listener", func() error {
				if r := c.Exec("sandbox", "demotools", "connect", m.addr); r.Code != 0 {
					return fmt.Errorf("%v", r)
				}
				if data, err := os.ReadFile(c.HostPath(loot)); err != nil || !strings.Contains(string(data), "take 1") {
					return fmt.Errorf("%q, %v", data, err)
				}
				return nil
			})
			for _, verb := range []string{"start", "recover", "restart", "probe", "health", "status"} {
				r := c.Ctl(verb)
				if r.Code != 4 {
					t.Errorf("%s with the agent on the port: %v", verb, r)
				}
				if out := r.Stdout + r.Stderr; verb != "probe" && !strings.Contains(out, "listener-foreign") {
					t.Errorf("%s does not say listener-foreign: %v", verb, r)
				}
			}
			named := func(l status.Listener) bool { return l.Addr == m.addr && l.UID == harness.UID(t, harness.SandboxUID) }
			// It is retried each second, until the agent leaves the port.
			harness.Never(t, 4*time.Second, "the agent's listener for the gateway", func() error {
				v := c.View()
				switch {
				case v.Serving:
					return errors.New("serving")
				case v.Reason != "listener-foreign" && v.Record.State == status.Backoff:
					return fmt.Errorf("%s: %s", v.Reason, v.Detail)
				case v.Record.Gateway.PID != 0:
					return fmt.Errorf("a gateway was started: %+v", v.Record.Gateway)
				case !slices.ContainsFunc(v.Record.Proof.Foreign, named):
					return fmt.Errorf("it is not named: %+v", v.Record.Proof.Foreign)
				}
				return nil
			})
			if n := c.Status().Crashes; n > 1 {
				t.Errorf("%d crashes: a taken port is nobody's", n)
			}
			c.EndAgent("")
			c.Ctl("recover") // serves at once; without recover, within a second
			if now := c.WaitNewGateway(old.Gateway.Process, 10*time.Second); now.Proof.Foreign != nil {
				t.Errorf("still reported: %+v", now.Proof.Foreign)
			}
			data, err := os.ReadFile(c.HostPath(loot))
			if err != nil {
				t.Fatal(err)
			}
			fresh := c.Token() // no other gateway was started
			for i := 0; i+16 <= len(token); i++ {
				if strings.Contains(string(data), token[i:i+16]) || strings.Contains(string(data), fresh[i:i+16]) {
					t.Fatal("the agent has the token")
				}
			}
			if fresh == token {
				t.Error("the agent had the port, and the token is the same")
			}
		})
	}
}
