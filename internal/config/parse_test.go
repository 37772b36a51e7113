// SPDX-License-Identifier: Apache-2.0

package config

import (
	"bytes"
	"errors"
	"os"
	"reflect"
	"strings"
	"syscall"
	"testing"
	"time"
)

// full holds every key.
const full = `{
  "sidecars": [
    {"name": "log-tail", "command": ["/bin/tail", "-f", "/x y"], "env": {"A": "<&>=é\t\""}, "pass_env": ["TZ"], "restart": "never"},
    {"name": "relay2", "command": ["/bin/relay"], "user": "gw:gws", "working_dir": "/srv", "token_env": "RELAY_TOKEN", "restart": "on-failure", "pending": "no relay yet"},
    {"name": "pair", "command": ["/bin/pair"], "user": "op", "token_env": "PAIR_TOKEN"}
  ],
  "prepare": [{"path": "/tmp/a", "type": "directory", "owner": "9001:9002", "mode": "0750"}, {"path": "/tmp/b"}],
  "gateway": {
    "command": ["/usr/bin/node", "", "run"],
    "user": "gw:gws",
    "working_dir": "/var/lib/gw",
    "env": {"NODE_OPTIONS": "--disable-sigusr1", "EMPTY": ""},
    "pass_env": ["TZ", "HTTPS_PROXY"],
    "token_env": "GW_TOKEN",
    "confine": "proc",
    "listen": {"port": 8080, "port_env": "GW_PORT"},
    "ready": {"path": "/readyz?x=1", "status": [200, 204], "json": {"ready": true, "n": 1.50, "s": "a\"<\u2028", "z": null, "": 0}, "timeout": "2m"},
    "health": {"path": "/healthz", "status": [200], "json": {"ok": true}, "timeout": "3.5s", "interval": "1h"},
    "auth_check": {"method": "POST", "path": "/invoke", "body": "{\"tool\":\"x\"}", "with_token": [404], "without_token": [401, 403]},
    "stop": {"signal": "SIGUSR2", "grace": "1m30s"},
    "restart": {"backoff_min": "10ms", "backoff_max": "1h", "reset_after": "24h", "hold_codes": [78, 0],
      "exit_texts": {"78": "its own configuration is invalid: \"see\" é", "0": "", "255": "x"}},
    "rlimits": {"nofile": 65536}
  },
  "publish": {"port": 18789, "address": "*", "wait": "2s"},
  "relay": {"user": "rly"},
  "sandbox": {"user": "agent", "evict": false},
  "operator": {"user": "op", "env": {"NODE_OPTIONS": "--disable-sigusr1"}, "pass_env": ["TZ"]},
  "clients": {"tui": ["/usr/bin/node", "", "tui"], "a-1": ["/bin/a"]},
  "runtime_dir": "/run/gw",
  "require_tmpfs": false,
  "require_hardening": true,
  "require_separation": true,
  "command_start": "immediate",
  "log": {"format": "text"}
}`

func parse(t *testing.T, text string) *Config {
	t.Helper()
	c, err := Parse([]byte(text), "config.json")
	must(t, err)
	return c
}

func TestParseFull(t *testing.T) {
	want := &Config{
		Gateway: Gateway{
			Command: []string{"/usr/bin/node", "", "run"}, User: "gw:gws", WorkingDir: "/var/lib/gw",
			Env:     []string{"NODE_OPTIONS=--disable-sigusr1", "EMPTY="},
			PassEnv: []string{"TZ", "HTTPS_PROXY"}, TokenEnv: "GW_TOKEN", Confine: "proc", Port: 8080, PortEnv: "GW_PORT",
			GiveUp: 8 * time.Minute,
			Ready: Probe{Path: "/readyz?x=1", Status: []int{200, 204}, Timeout: 2 * time.Minute,
				JSON: []Expect{{"ready", "true"}, {"n", "1.50"}, {"s", `"a\"\u003c\u2028"`}, {"z", "null"}, {"", "0"}}},
			Health: Probe{Path: "/healthz", Status: []int{200}, JSON: []Expect{{"ok", "true"}},
				Timeout: 3500 * time.Millisecond, Interval: time.Hour},
			AuthCheck: &AuthCheck{Method: "POST", Path: "/invoke", Body: `{"tool":"x"}`,
				WithToken: []int{404}, WithoutToken: []int{401, 403}},
			StopSignal: syscall.SIGUSR2, StopGrace: 90 * time.Second,
			BackoffMin: 10 * time.Millisecond, BackoffMax: time.Hour, ResetAfter: 24 * time.Hour,
			HoldCodes: []int{78, 0}, Nofile: 65536,
			ExitTexts: []ExitText{{78, `its own configuration is invalid: "see" é`}, {0, ""}, {255, "x"}},
		},
		Prepare: []Prepare{
			{Path: "/tmp/a", Type: "directory", Owner: "9001:9002", Mode: 0o750},
			{Path: "/tmp/b", Type: "directory", Owner: "gw:gws", Mode: 0o700},
		},
		Publish: &Publish{Port: 18789, Address: "*", Wait: 2 * time.Second}, RelayUser: "rly",
		SandboxUser: "agent", SandboxEvict: false, OperatorUser: "op",
		OperatorEnv: []string{"NODE_OPTIONS=--disable-sigusr1"}, OperatorPassEnv: []string{"TZ"},
		Clients: []Client{{"tui", []string{"/usr/bin/node", "", "tui"}}, {"a-1", []string{"/bin/a"}}},
		Sidecars: []Sidecar{
			{Name: "log-tail", Command: []string{"/bin/tail", "-f", "/x y"}, User: "agent",
				Env: []string{"A=<&>=é\t\""}, PassEnv: []string{"TZ"}, Restart: "never"},
			{Name: "relay2", Command: []string{"/bin/relay"}, User: "gw:gws", WorkingDir: "/srv",
				TokenEnv: "RELAY_TOKEN", Restart: "on-failure", Pending: "no relay yet"},
			{Name: "pair", Command: []string{"/bin/pair"}, User: "op", TokenEnv: "PAIR_TOKEN", Restart: "always"},
		},
		RuntimeDir: "/run/gw", RequireHardening: true, RequireSeparation: true,
		CommandStart: "immediate", LogFormat: "text",
	}
	if got := parse(t, full); !reflect.DeepEqual(got, want) {
		t.Errorf("got\n%+v\nwant\n%+v", got, want)
	}
}

func TestParseDefaults(t *testing.T) {
	want := &Config{
		Gateway: Gateway{
			Command: []string{"/bin/gateway"}, User: "gateway", WorkingDir: "/",
			TokenEnv: "OPENCLAW_GATEWAY_TOKEN", Confine: "none", Port: 18789,
			Ready:      Probe{Path: "/health", Status: []int{200}, Timeout: 90 * time.Second},
			GiveUp:     6 * time.Minute,
			Health:     Probe{Path: "/health", Status: []int{200}, Timeout: 3 * time.Second, Interval: 30 * time.Second},
			StopSignal: syscall.SIGTERM, StopGrace: 7 * time.Second,
			BackoffMin: 200 * time.Millisecond, BackoffMax: 30 * time.Second, ResetAfter: 60 * time.Second,
		},
		RelayUser: "relay", SandboxUser: "sandbox", SandboxEvict: true, OperatorUser: "operator",
		RuntimeDir: "/run/gateway-init", RequireTmpfs: true, CommandStart: "after-gateway", LogFormat: "json",
	}
	if got := parse(t, minimal); !reflect.DeepEqual(got, want) {
		t.Errorf("got\n%+v\nwant\n%+v", got, want)
	}
}

func TestParseReadyFollowsHealth(t *testing.T) {
	health := Probe{Path: "/h", Status: []int{204}, JSON: []Expect{{"ok", "true"}}}
	for name, c := range map[string]struct {
		ready string
		want  Probe
	}{
		"absent":       {"", health},
		"timeout-only": {`, "ready": {"timeout": "90s"}`, health},
		"own-path":     {`, "ready": {"path": "/r"}`, Probe{Path: "/r", Status: []int{204}}},
		"own-status":   {`, "ready": {"status": [200]}`, Probe{Path: "/h", Status: []int{200}, JSON: health.JSON}},
		"no-body":      {`, "ready": {"json": {}}`, Probe{Path: "/h", Status: []int{204}}},
	} {
		t.Run(name, func(t *testing.T) {
			got := parse(t, `{"gateway": {"command": ["/g"], "health": {"path": "/h", "status": [204], "json": {"ok": true}}`+c.ready+`}}`).Gateway.Ready
			if c.want.Timeout = 90 * time.Second; !reflect.DeepEqual(got, c.want) {
				t.Errorf("got %+v, want %+v", got, c.want)
			}
		})
	}
}

// TestParseDemo checks the demo's configuration, from which users start.
func TestParseDemo(t *testing.T) {
	data, err := os.ReadFile("../../image/demo/config.json")
	must(t, err)
	parse(t, string(data))
}

func TestWriteEffective(t *testing.T) {
	for name, text := range map[string]string{"minimal": minimal, "full": full} {
		t.Run(name, func(t *testing.T) { roundTrip(t, parse(t, text)) })
	}
	var out bytes.Buffer
	must(t, parse(t, full).WriteEffective(&out))
	for _, want := range []string{`"A": "<&>=é\u0009\""`, `"grace": "1m30s"`, `"mode": "0750"`, `"signal": "SIGUSR2"`} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %s in\n%s", want, &out)
		}
	}
	if err := parse(t, full).WriteEffective(fullDisk{}); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("got %v", err)
	}
}

type fullDisk struct{}

func (fullDisk) Write([]byte) (int, error) { return 0, syscall.ENOSPC }

func TestSignals(t *testing.T) {
	for _, accepted := range []string{stopSignals, reloadSignals} {
		for _, name := range strings.Split(accepted, ", ") {
			if got := showSignal(signalNumber(name), accepted); got != quoteJSON(name) {
				t.Errorf("%s: got %s", name, got)
			}
		}
	}
	if got := signalNumber("SIGSTOP"); got != 0 {
		t.Errorf("got %v", got)
	}
	if got := showSignal(syscall.SIGSTOP, stopSignals); got != "" {
		t.Errorf("got %v", got)
	}
}

func TestShortDuration(t *testing.T) {
	for want, d := range map[string]time.Duration{
		"100ms": 100 * time.Millisecond, "10s": 10 * time.Second, "20m": 20 * time.Minute, "1h": time.Hour,
		"1h0m5s": time.Hour + 5*time.Second, "1h10m": 70 * time.Minute, "24h": 24 * time.Hour, "1m10s": 70 * time.Second,
	} {
		if got := shortDuration(d); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}

func roundTrip(t *testing.T, c *Config) {
	t.Helper()
	var out bytes.Buffer
	must(t, c.WriteEffective(&out))
	again, err := Parse(out.Bytes(), "effective")
	if err != nil {
		t.Fatalf("%v in\n%s", err, &out)
	}
	if !reflect.DeepEqual(again, c) {
		t.Fatalf("got\n%+v\nwant\n%+v\nfrom\n%s", again, c, &out)
	}
}

// FuzzParse checks that an accepted text is printed as one that means the same, and
// that any other is refused in one line with a position.
func FuzzParse(f *testing.F) {
	f.Add([]byte(minimal))
	f.Add([]byte(full))
	f.Add([]byte(`{"gateway":{"command":["/g"],"env":{"a\nb":"c"}}}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		c, err := Parse(data, "config.json")
		if err == nil {
			roundTrip(t, c)
			return
		}
		var e *Error
		if !errors.As(err, &e) || e.Line < 1 || e.Col < 1 || strings.ContainsAny(err.Error(), "\n\r\x00\x1b") || len(err.Error()) > 4096 {
			t.Fatalf("not one short line with a position: %q", err)
		}
	})
}
