// SPDX-License-Identifier: Apache-2.0

package proof

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/gateway-init/gateway-init/tests/harness"
)

// Scenario P01. Control works among zombies, processes that end in the middle
// of a scan, and 100 short-lived processes a second.
//
// Processes that ended while /proc was read, and zombies, made the controller fail,
// or report a gateway that did not exist.
func TestControlWorksAmongShortLivedProcesses(t *testing.T) {
	t.Parallel()
	const zombies = 20
	c := harness.Start(t, harness.Options{
		Command:   []string{"demotools", "churn", "100", "600"},
		Misbehave: map[string]any{"zombies": zombies},
		Config:    map[string]any{"gateway": map[string]any{"health": map[string]any{"interval": "200ms"}}},
	})
	old := c.WaitServing(20 * time.Second)
	// The same with the gateway's own user, whose processes a sweep looks for.
	c.ExecDetached("gateway", "demotools", "churn", "100", "600")
	harness.Eventually(t, 10*time.Second, "zombies of the gateway", func() error {
		n := 0
		for _, p := range c.Processes() {
			if strings.HasPrefix(p.State, "Z") && c.OfGateway(p) {
				n++
			}
		}
		if n < zombies {
			return fmt.Errorf("%d", n)
		}
		return nil
	})
	harness.Never(t, 3*time.Second, "status among dying processes", func() error {
		if v := c.View(); !v.Serving || v.Record.Gateway.Process != old.Gateway.Process {
			return fmt.Errorf("serving %t, %s: %s", v.Serving, v.Reason, v.Detail)
		}
		return nil
	})
	for n := range 5 {
		for _, verb := range []string{"probe", "recover", "restart"} {
			if r := c.Ctl(verb); r.Code != 0 {
				t.Fatalf("%s: %v", verb, r)
			}
		}
		now := c.WaitNewGateway(old.Gateway.Process, 10*time.Second)
		if now.Restarts != n+1 || now.Crashes != 0 {
			t.Errorf("restarts %d, crashes %d after %d requests", now.Restarts, now.Crashes, n+1)
		}
		old = now
	}
	c.Tools("", "sigsend", fmt.Sprint(old.Gateway.PID), "KILL")
	if now := c.WaitNewGateway(old.Gateway.Process, 10*time.Second); now.Crashes != 1 {
		t.Errorf("crashes %d after one", now.Crashes)
	}
	c.MustCtl("stop")
	harness.Eventually(t, 10*time.Second, "no zombie of the former gateways", func() error {
		for _, p := range c.Processes() {
			if c.OfGateway(p) {
				return errors.New("there is " + p.Comm + " " + p.State)
			}
		}
		return nil
	})
}
