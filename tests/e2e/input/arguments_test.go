// SPDX-License-Identifier: Apache-2.0

package input

import (
	"strings"
	"testing"

	"github.com/gateway-init/gateway-init/tests/harness"
)

// A mistyped option must not become the agent's command, or be ignored.
func TestArgumentsRefused(t *testing.T) {
	for name, c := range map[string]struct {
		args  []string
		words []string
	}{
		"unknown-option":  {[]string{"--nosuch"}, []string{"--nosuch", "--help"}},
		"config-no-value": {[]string{"--config"}, []string{"--config", "--help"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			checkRefused(t, harness.Options{Args: c.args}, 2, c.words...)
		})
	}
}

// Bad input to gatewayctl changes nothing and says what to do.
func TestVerbArgumentsRefused(t *testing.T) {
	c := harness.Look(t, "readme", harness.Options{})
	before := c.Status()
	var calls []harness.Call
	for _, args := range [][]string{
		{}, {"nosuch"}, {"restart", "--nosuch"}, {"restart", "now"}, {"restart", "--timeout"}, {"restart", "--timeout", "0s"},
		{"restart", "--timeout", "-1s"}, {"restart", "--timeout", "abc"}, {"restart", "--timeout", "1e30s"},
		{"stop", "it"}, {"token", "--url"}, {"token", "--url", "not a url"}, {"status", "--json", "--nosuch"},
	} {
		calls = append(calls, harness.Call{Args: append([]string{"gatewayctl"}, args...)})
	}
	for i, r := range c.Batch("", calls...) {
		args := calls[i].Args[1:]
		if r.Code != 2 || r.Stdout != "" {
			t.Errorf("gatewayctl %q: %v", args, r)
		}
		if lines := strings.Split(strings.TrimSpace(r.Stderr), "\n"); len(args) > 0 && (len(lines) > 2 || !strings.HasPrefix(lines[0], "gatewayctl: ")) {
			t.Errorf("gatewayctl %q says more than one line and a hint: %s", args, r.Stderr)
		}
	}
	after := c.Status()
	if after.Gateway.Process != before.Gateway.Process || after.Restarts != 0 {
		t.Errorf("bad input restarted the gateway: %+v, then %+v", before.Gateway, after.Gateway)
	}
}
