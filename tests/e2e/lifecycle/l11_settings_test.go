// SPDX-License-Identifier: Apache-2.0

package lifecycle

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gateway-init/gateway-init/internal/status"
	"github.com/gateway-init/gateway-init/tests/harness"
)

// huge is 10^30, which overflows every integer type.
const huge = "1000000000000000000000000000000"

// setting is a key that is tested with absurd values. least and most are accepted.
type setting struct {
	key         string
	least, most string // JSON
	list        bool   // of such values
	zero        bool   // 0 means something
}

func settings() []setting {
	return []setting{
		{key: "gateway.ready.timeout", least: `"100ms"`, most: `"1h"`},
		{key: "gateway.health.timeout", least: `"100ms"`, most: `"1h"`},
		{key: "gateway.health.interval", least: `"100ms"`, most: `"24h"`},
		{key: "gateway.stop.grace", least: `"100ms"`, most: `"1h"`},
		{key: "gateway.restart.backoff_min", least: `"10ms"`, most: `"30s"`}, // at most backoff_max
		{key: "gateway.restart.backoff_max", least: `"200ms"`, most: `"1h"`}, // at least backoff_min
		{key: "gateway.restart.reset_after", least: `"1s"`, most: `"24h"`},
		{key: "gateway.listen.port", least: `1`, most: `65535`},
		{key: "gateway.rlimits.nofile", least: `16`, most: `1048576`},
		{key: "gateway.restart.hold_codes", least: `0`, most: `255`, list: true, zero: true},
		{key: "gateway.ready.status", least: `100`, most: `599`, list: true},
		{key: "gateway.health.status", least: `100`, most: `599`, list: true},
	}
}

// absurd returns values that must be refused, for durations or for numbers.
func (s setting) absurd() []string {
	if strings.HasPrefix(s.least, `"`) {
		return []string{`"0s"`, `"0"`, `"-1s"`, `"-0.1ns"`, `"` + huge + `s"`, `"1e30s"`, `"abc"`, `""`, `"NaN"`, `"5"`, `0`, `-1`, `1e30`, `null`, `[]`}
	}
	values := []string{`-1`, huge, `1e30`, `-` + huge, `0.5`, `"abc"`, `"` + huge + `"`, `null`, `{}`}
	if !s.zero {
		values = append(values, `0`, `-0`)
	}
	return values
}

// config returns the demo's configuration with one value changed.
func (s setting) config(t testing.TB, value string) []byte {
	t.Helper()
	if s.list {
		value = "[" + value + "]"
	}
	var over any = json.RawMessage(value)
	names := strings.Split(s.key, ".")
	for i := len(names) - 1; i >= 0; i-- {
		over = object{names[i]: over}
	}
	return harness.DemoConfig(t, over.(object))
}

// Scenario L11. Absurd settings (0, negative, 10^30, "abc") are refused at
// start with the name of the key.
//
// A grace of 0 became "kill now", an interval of "abc" became 0, and a huge
// one overflowed into the past.
func TestAbsurdSettingsAreRefusedByName(t *testing.T) {
	t.Run("check-config", checkConfig)
	t.Run("boot", func(t *testing.T) {
		for _, s := range settings() {
			for _, value := range s.absurd()[:2] {
				t.Run(strings.TrimPrefix(s.key, "gateway.")+"="+fmt.Sprintf("%.12s", value), func(t *testing.T) { checkBootRefused(t, s, value) })
			}
		}
	})
	t.Run("flags", absurdFlags)
}

// checkConfig asks the shipped binary about every value, in one container.
func checkConfig(t *testing.T) {
	t.Parallel()
	c := harness.Start(t, harness.Options{Config: object{}, Command: []string{"demotools", "sleep", "600"}})
	c.WaitServing(serveBy)
	check := func(s setting, value string) harness.Result {
		path := filepath.Join(filepath.Dir(c.ConfigFile()), "tried.json")
		if err := os.WriteFile(path, s.config(t, value), 0o644); err != nil {
			t.Fatal(err)
		}
		return c.Exec("", "gateway-init", "--check-config", "/etc/gateway-init/tried.json")
	}
	for _, s := range settings() {
		for _, value := range []string{s.least, s.most} {
			want(t, s.key+" = "+value, check(s, value), 0)
		}
		for _, value := range s.absurd() {
			r := check(s, value)
			want(t, s.key+" = "+value, r, 2, s.key)
			if strings.Count(r.Stderr, "\n") != 1 || r.Stdout != "" {
				t.Errorf("%s = %s: not one line: %v", s.key, value, r)
			}
		}
	}
}

// checkBootRefused checks that the container ends with one line that names the key, and
// that nothing was launched.
func checkBootRefused(t *testing.T, s setting, value string) {
	t.Parallel()
	c := harness.Start(t, harness.Options{RawConfig: s.config(t, value), Command: []string{"demotools", "stdio-all", "1"}})
	if code := c.WaitExit(serveBy); code != 2 {
		t.Errorf("exit code %d, want 2", code)
	}
	log := c.Logs()
	if strings.Count(log, "\n") != 1 || !strings.HasPrefix(log, "gateway-init: ") || !strings.Contains(log, s.key+":") && !strings.Contains(log, s.key+"[0]:") {
		t.Errorf("not one line that names %s:\n%s", s.key, log)
	}
}

// absurdFlags checks that gatewayctl refuses absurd values of its flags and sends
// nothing.
func absurdFlags(t *testing.T) {
	t.Parallel()
	c := harness.Start(t, harness.Options{})
	old := c.WaitServing(serveBy)
	for _, value := range []string{"0", "0s", "-1s", huge + "s", "1e30s", "abc", "", "5"} {
		for _, verb := range []string{"restart", "recover", "stop", "start", "probe", "wait"} {
			want(t, verb+" --timeout="+value, c.Ctl(verb, "--timeout="+value), 2, "timeout")
		}
		want(t, "restart --drain="+value, c.Ctl("restart", "--drain="+value), 2, "drain")
	}
	now := c.Status()
	if now.LastRequest != nil || now.State != status.Running || now.Gateway.Process != old.Gateway.Process {
		t.Errorf("something was sent: %+v, %s, gateway %+v, was %+v", now.LastRequest, now.State, now.Gateway, old.Gateway)
	}
}
