// SPDX-License-Identifier: Apache-2.0

package neighbors

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gateway-init/gateway-init/internal/status"
	"github.com/gateway-init/gateway-init/tests/harness"
)

// Scenario F14. If the agent binds [::1]:PORT beside a healthy gateway, the
// gateway is not killed for it. The listener is reported until it is gone.
//
// The supervisor ended a healthy gateway when the agent opened a second listener on its
// port.
func TestListenerBesideNeverEndsTheGateway(t *testing.T) {
	t.Parallel()
	for name, addr := range map[string]string{
		"ipv6-loopback":         fmt.Sprintf("[::1]:%d", harness.Port),
		"another-ipv4-loopback": fmt.Sprintf("127.0.0.2:%d", harness.Port),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := harness.Start(t, harness.Options{Config: briskHealth(), Extra: harness.IPv6()})
			old := c.WaitServing(20 * time.Second)
			same := func(r status.Record) error {
				if r.Gateway.Process != old.Gateway.Process || r.State != status.Running || r.Crashes != 0 {
					return fmt.Errorf("state %s, gateway %+v, was %+v, crashes %d", r.State, r.Gateway, old.Gateway, r.Crashes)
				}
				return nil
			}
			c.ExecDetached("sandbox", "demotools", "hold-port", "-http", addr)
			// The test would prove nothing if the agent could not have this address.
			harness.Eventually(t, 10*time.Second, "the agent's listener", func() error {
				if r := c.Exec("sandbox", "demotools", "connect", addr); r.Code != 0 {
					return fmt.Errorf("%v", r)
				}
				return nil
			})
			named := func(l status.Listener) bool { return l.Addr == addr && l.UID == harness.SandboxUID }
			c.WaitStatus(10*time.Second, "a report of the listener", func(v harness.View) error {
				if v.Serving || v.Reason != "listener-foreign" || !slices.ContainsFunc(v.Record.Proof.Foreign, named) {
					return fmt.Errorf("serving %t, %s: %s, %+v", v.Serving, v.Reason, v.Detail, v.Record.Proof.Foreign)
				}
				return same(*v.Record)
			})
			// Some twenty checks run. Four failures in a row would end the gateway.
			harness.Never(t, 4*time.Second, "the gateway beside the agent's listener", func() error {
				v := c.View()
				if v.Serving || v.Reason != "listener-foreign" || v.Record.Health.Failures != 0 {
					return fmt.Errorf("serving %t, reason %s, health %+v", v.Serving, v.Reason, v.Record.Health)
				}
				return same(*v.Record)
			})
			for _, verb := range []string{"health", "probe", "recover", "restart"} {
				r := c.Ctl(verb)
				if r.Code != 4 || !strings.Contains(r.Stdout+r.Stderr, "listener-foreign") {
					t.Errorf("%s beside the agent's listener: %v", verb, r)
				}
				if err := same(c.Status()); err != nil {
					t.Fatalf("%s: %v", verb, err)
				}
			}
			if r := c.HTTP("GET", "/health", "", ""); r.Code != 200 {
				t.Errorf("the gateway does not answer: %+v", r)
			}
			c.EndAgent("demotools")
			if err := same(c.WaitServing(10 * time.Second)); err != nil {
				t.Error(err)
			}
			if r := c.Ctl("health"); r.Code != 0 {
				t.Errorf("health after the agent's listener: %v", r)
			}
			c.MustCtl("restart")
			c.WaitNewGateway(old.Gateway.Process, 10*time.Second)
		})
	}
}
