// SPDX-License-Identifier: Apache-2.0

// Package publish tests the published port from outside of the container, as a browser on
// the host uses it. tests/ns/publish has the tests from inside.
package publish

import (
	"fmt"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/gateway-init/gateway-init/internal/status"
	"github.com/gateway-init/gateway-init/tests/harness"
)

const serveBy = 30 * time.Second

// TestMain runs the first test where nothing is separated, too.
func TestMain(m *testing.M) {
	os.Exit(harness.Main(m, harness.MainOptions{Topologies: []string{"TestPublished"}}))
}

// Scenario C01. TestPublished checks that docker run -p leads to the gateway, and to the
// next one after a restart and a crash, with the same token.
func TestPublished(t *testing.T) {
	t.Parallel()
	c := harness.Start(t, harness.Options{Published: true, Extra: harness.Publish(harness.Port)})
	c.WaitServing(serveBy)
	token := strings.TrimSpace(c.MustCtl("token"))
	serves := func(when string) {
		t.Helper()
		harness.Eventually(t, serveBy, "an answer "+when, func() error {
			if r := c.GetPublished(harness.Port, "/health"); r.Code != 200 {
				return fmt.Errorf("%d, %v", r.Code, r.Err)
			}
			return nil
		})
		if r := c.HTTP("GET", "/api/whoami", token, ""); r.Code != 200 {
			t.Errorf("%s: the token: %d, %v", when, r.Code, r.Err)
		}
	}
	serves("at first")
	c.MustCtl("restart")
	serves("after a restart")
	old := c.WaitServing(serveBy)
	c.Tools("", "sigsend", fmt.Sprint(old.Gateway.PID), "KILL")
	c.WaitNewGateway(old.Gateway.Process, serveBy)
	serves("after a crash")
}

// Scenario C02. TestLoopbackAlone checks that a port that is published on loopback cannot
// be reached from outside, and that the agent cannot serve there instead: on eth0's
// address, on another loopback address, or on every address.
func TestLoopbackAlone(t *testing.T) {
	t.Parallel()
	c := harness.Start(t, harness.Options{Published: true, Extra: harness.Publish(harness.Port),
		Config: map[string]any{"publish": map[string]any{"address": "127.0.0.1"}}})
	r := c.WaitServing(serveBy)
	if p := r.Publish; p == nil || strings.Join(p.Listens, " ") != "127.0.0.1:18789 [::1]:18789" {
		t.Errorf("published: %+v", p)
	}
	var info struct {
		NetworkSettings struct{ IPAddress string }
	}
	if c.Inspect(&info); info.NetworkSettings.IPAddress == "" {
		t.Fatalf("no address of eth0: %+v", info)
	}
	for _, host := range []string{info.NetworkSettings.IPAddress, "0.0.0.0", "127.0.0.2", "::"} {
		addr := net.JoinHostPort(host, fmt.Sprint(harness.Port))
		if r := c.Exec("sandbox", "demotools", "hold-port", "-http", addr); r.Code == 0 || !strings.Contains(r.Stderr, "address already in use") {
			t.Errorf("the agent binds %s: %v", addr, r)
		}
	}
	if r := c.GetPublished(harness.Port, "/health"); r.Code != 0 {
		t.Errorf("from outside: %d %s", r.Code, r.Body)
	}
	for _, host := range []string{"localhost", "127.0.0.1"} {
		if r := c.Exec("sandbox", "demotools", "http", "GET", "http://"+host+":18789/health"); !strings.HasPrefix(r.Stdout, "200\n") {
			t.Errorf("%s: %v", host, r)
		}
	}
}

// Scenario C08. TestRelayIsClosed checks what the agent's user, the operator and the
// gateway's user can see of the relay, through which tokens pass.
func TestRelayIsClosed(t *testing.T) {
	t.Parallel()
	c := harness.Start(t, harness.Options{Published: true})
	c.WaitServing(serveBy)
	var relay status.Child
	c.WaitStatus(serveBy, "the relay", func(v harness.View) error {
		if p := v.Record.Publish; p == nil || p.Relay == nil || p.Relay.PID == 0 {
			return fmt.Errorf("%+v", p)
		}
		relay = *v.Record.Publish.Relay
		return nil
	})
	for _, user := range []string{"sandbox", "operator", "gateway", "relay"} {
		for _, file := range []string{"environ", "mem", "maps", "fd/3", "fd/5"} {
			path := fmt.Sprintf("/proc/%d/%s", relay.PID, file)
			if r := c.Exec(user, "demotools", "cat", path); r.Code == 0 || !strings.Contains(r.Stderr, "permission denied") {
				t.Errorf("%s reads %s: %v", user, path, r)
			}
		}
	}
	fields, err := harness.StatusFields(fmt.Sprintf("/proc/%d/status", c.HostPIDOf(relay.PID)))
	if err != nil {
		t.Fatal(err)
	}
	for field, want := range map[string]string{"CapPrm": "0000000000000000", "CapEff": "0000000000000000", "CapBnd": "0000000000000000", "NoNewPrivs": "1", "Seccomp": "2"} {
		if fields[field] != want {
			t.Errorf("%s is %q, want %s", field, fields[field], want)
		}
	}
}
