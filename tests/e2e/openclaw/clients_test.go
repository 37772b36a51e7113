// SPDX-License-Identifier: Apache-2.0

//go:build long

package openclaw

import (
	"strings"
	"testing"
	"time"

	"github.com/gateway-init/gateway-init/tests/harness"
)

// Scenario T02, with OpenClaw. The token moved into a file that the documented
// command could not read. No test had run that command (#2480).
func TestOpenClawTerminalUIAuthenticates(t *testing.T) {
	t.Parallel()
	needImage(t)
	for name, flags := range map[string][]string{
		"readme":            flags(),
		"no-new-privileges": {"--security-opt", "no-new-privileges"},
		"plain":             {},
	} {
		t.Run(name, func(t *testing.T) {
			takePlace(t)
			o := options(t, nil, nil)
			o.Flags = flags
			c := harness.Start(t, o)
			c.WaitServing(ready)
			tui(t, c)
			c.MustCtl("restart", "--timeout", "4m")
			tui(t, c)
			c.MustCtl("restart", "--rotate-token", "--timeout", "4m")
			tui(t, c)
		})
	}
	// Without root there is no operator to run it as. A configuration that requires
	// separation gets no container.
	t.Run("non-root", func(t *testing.T) {
		o := options(t, nil, map[string]any{"require_separation": true})
		o.Flags = []string{"--user", "1000:1000"}
		c, _ := harness.TryStart(t, o)
		if code := c.WaitExit(time.Minute); code != 1 {
			t.Errorf("exit code %d", code)
		}
		if log := c.Logs(); strings.Count(log, "\n") != 1 || !strings.Contains(log, "run the container as root") {
			t.Errorf("log: %s", log)
		}
	})
}

// Scenario T03. Each client authenticates without manual steps: terminal UI,
// one-shot command, dashboard from the host, device pairing.
//
// Each client needed its own manual step after an upgrade.
func TestEveryOpenClawClientAuthenticates(t *testing.T) {
	c := shared(t)
	waitTools(t, c)
	tui(t, c)
	for name, try := range map[string]struct {
		args []string
		want string
	}{
		"call":    {[]string{"openclaw", "gateway", "call", "health", "--json"}, `"ok"`},
		"status":  {[]string{"openclaw", "gateway", "status"}, "Connectivity probe: ok"},
		"devices": {[]string{"openclaw", "devices", "list", "--json"}, `"displayName": "sandbox"`},
		"nodes":   {[]string{"openclaw", "nodes", "status", "--connected", "--json"}, `"connected": true`},
	} {
		t.Run(name, func(t *testing.T) {
			if r := client(c.For(t), try.args...); r.Code != 0 || !strings.Contains(r.Stdout, try.want) {
				t.Errorf("%v", r)
			}
		})
	}
	t.Run("dashboard", func(t *testing.T) {
		c := c.For(t)
		url := c.MustCtl("token", "--url", "http://127.0.0.1:18789")
		base, token, ok := strings.Cut(url, "/#token=")
		if !ok || base != "http://127.0.0.1:18789" || token != c.Token() {
			t.Fatal("the URL is not the dashboard's with the token in its fragment")
		}
		if r := c.HTTP("GET", "/", "", ""); r.Code != 200 || !strings.Contains(r.Body, "<html") {
			t.Errorf("the dashboard answers %d %.80q %v", r.Code, r.Body, r.Err)
		}
		if got := authenticates(c, token); got != 404 {
			t.Errorf("the URL's token gets %d", got)
		}
	})
}
