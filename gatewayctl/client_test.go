// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/gateway-init/gateway-init/gatewayctl/client"
	"github.com/gateway-init/gateway-init/internal/clientlock"
	"github.com/gateway-init/gateway-init/internal/config"
	"github.com/gateway-init/gateway-init/internal/fsafe"
	"github.com/gateway-init/gateway-init/internal/procfs"
	"github.com/gateway-init/gateway-init/internal/reason"
	"github.com/gateway-init/gateway-init/internal/sockets"
	"github.com/gateway-init/gateway-init/internal/testenv"
	"github.com/gateway-init/gateway-init/internal/users"
	"github.com/gateway-init/gateway-init/supervisor/control"
)

// launched holds the arguments with which a client was started.
type launched struct {
	plan  *client.Plan
	token string // "" if it has none
	grant client.Grant
	held  bool // the lock was held
	io    client.Stdio
}

// clients gives w a configuration with clients, and a launcher that only records
// its arguments and returns code and err.
func (w *fixture) clients(code int, err error) *[]launched {
	w.t.Helper()
	testenv.Root(w.t) // client.New looks with the operator's rights
	var all []launched
	w.local.Config = func() (*config.Config, error) {
		return &config.Config{
			Gateway: config.Gateway{TokenEnv: "TOKEN"}, OperatorEnv: []string{"A=1"}, OperatorPassEnv: []string{"TZ"},
			Clients: []config.Client{{Name: "tui", Command: []string{"/bin/sh", "-c", "x"}}, {Name: "revoke-devices", Command: []string{"/bin/cat"}}},
		}, nil
	}
	w.kernel.users = func(*config.Config) (identities, error) {
		return identities{users.User{UID: w.record.Gateway.UID}, users.User{Name: "op", UID: testenv.Stranger, GID: testenv.Stranger, Home: "/home/op"}}, nil
	}
	w.files = client.Stdio{In: os.Stdin, Out: os.Stdout, Err: os.Stderr}
	w.kernel.launch = func(p *client.Plan, g client.Grant, io client.Stdio) (int, error) {
		l := launched{plan: p, grant: g, io: io}
		if g.Token != nil {
			l.token = string(g.Token.Bytes())
		}
		if g.Check != nil {
			if err := g.Check(); err != nil {
				return 0, err
			}
		}
		l.held = w.lockHeld()
		all = append(all, l)
		if g.Gone != nil {
			g.Gone()
		}
		return code, err
	}
	return &all
}

// lockHeld reports whether PID 1 would find a client.
func (w *fixture) lockHeld() bool {
	w.t.Helper()
	held, err := clientlock.IsHeld(w.lock)
	must(w.t, err)
	return held
}

// TestExec checks the program, its arguments and the exit code.
func TestExec(t *testing.T) {
	tests := map[string]struct {
		args       string
		argv       string // the plan's, formatted with %q
		configured bool
		dir        string
	}{
		"name":                {"exec cat", `["cat"]`, false, ""},
		"absolute":            {"exec /bin/cat a", `["/bin/cat" "a"]`, false, ""},
		"dashes":              {"exec -- cat -- -x", `["cat" "--" "-x"]`, false, ""},
		"flags-of-the-client": {"exec cat --help --tty --runtime-dir /x -h", `["cat" "--help" "--tty" "--runtime-dir" "/x" "-h"]`, false, ""},
		"all-flags":           {"exec --no-tty --user op --dir /tmp -- cat", `["cat"]`, false, "/tmp"},
		"by-uid":              {fmt.Sprintf("exec --user %d cat", testenv.Stranger), `["cat"]`, false, ""},
		"client":              {"exec --client tui a -b", `["/bin/sh" "-c" "x" "a" "-b"]`, true, ""},
		"client-dashes":       {"exec --client tui -- --a", `["/bin/sh" "-c" "x" "--a"]`, true, ""},
		"tui":                 {"tui", `["/bin/sh" "-c" "x"]`, true, ""},
		"tui-arguments":       {"tui --no-tty --dir /tmp -- --session main", `["/bin/sh" "-c" "x" "--session" "main"]`, true, "/tmp"},
		"tui-plain":           {"tui main --x", `["/bin/sh" "-c" "x" "main" "--x"]`, true, ""},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			w := newFixture(t)
			all := w.clients(42, nil)
			w.up()
			w.env = []string{"TZ=UTC", "PATH=/evil"}
			w.want(w.run(strings.Fields(test.args)...), 42, "", "")
			if len(*all) != 1 {
				t.Fatalf("%d clients", len(*all))
			}
			got := (*all)[0]
			if fmt.Sprintf("%q", got.plan.Argv) != test.argv || got.plan.Configured != test.configured || got.plan.Dir != test.dir ||
				got.token != hexToken || got.io != w.files || !got.held || got.grant.Gateway == nil {
				t.Errorf("got %q %+v", got.plan.Argv, got)
			}
			if w.lockHeld() {
				t.Error("the lock is held afterwards")
			}
			if s := got.plan.Spec; s.User.Name != "op" || s.TokenEnv != "TOKEN" || !slices.Equal(s.Env, []string{"A=1"}) ||
				!slices.Equal(s.PassEnv, []string{"TZ"}) || !slices.Equal(s.Caller, w.env) {
				t.Errorf("got %+v", s)
			}
		})
	}
}

// TestExecTerminal checks which clients get a terminal.
func TestExecTerminal(t *testing.T) {
	for name, c := range map[string]struct {
		flag    string
		in, out bool
		tty     bool
		usage   string
	}{
		"terminal":           {"", true, true, true, ""},
		"input-only":         {"", true, false, false, ""},
		"output-only":        {"", false, true, false, ""},
		"none":               {"", false, false, false, ""},
		"asked":              {"--tty", true, false, true, ""},
		"asked-no-input":     {"--tty", false, true, false, "--tty needs a terminal on stdin"},
		"declined":           {"--no-tty", true, true, false, ""},
		"asked-and-declined": {"--tty --no-tty", true, true, false, "exclude each other"},
		"asked-for-false":    {"--tty=false", true, true, true, ""},
	} {
		t.Run(name, func(t *testing.T) {
			w := newFixture(t)
			all := w.clients(0, nil)
			w.up()
			w.inTTY, w.outTTY = c.in, c.out
			for _, verb := range []string{"tui", "exec"} {
				args := append(append([]string{verb}, strings.Fields(c.flag)...), "--", "cat")
				if c.usage != "" {
					w.want(w.run(args...), exitUsage, "", c.usage)
					continue
				}
				if w.want(w.run(args...), 0, "", ""); len(*all) == 0 || (*all)[len(*all)-1].plan.TTY != c.tty {
					t.Errorf("%s: a terminal: %v", verb, !c.tty)
				}
			}
		})
	}
}

// TestExecRefusals checks that no client runs, and that one line says why.
func TestExecRefusals(t *testing.T) {
	bad := func(err error) func(w *fixture) {
		return func(w *fixture) { w.local.Config = func() (*config.Config, error) { return nil, err } }
	}
	syntax := &config.Error{File: "/c", Line: 1, Col: 2, Problem: "unknown key"}
	tests := map[string]struct {
		args   string
		change func(w *fixture)
		code   int
		says   string
	}{
		"nothing":         {"exec", nil, 2, "no command given"},
		"only-flags":      {"exec --no-tty --", nil, 2, "no command given"},
		"relative":        {"exec bin/cat", nil, 2, "neither a name nor an absolute path"},
		"relative-dir":    {"exec --dir tmp cat", nil, 2, "--dir must be an absolute path"},
		"unknown-flag":    {"exec --force cat", nil, 2, "-force"},
		"user-on-tui":     {"tui --user op", nil, 2, "-user"},
		"as-gateway":      {"exec --user gateway cat", nil, 3, "not-permitted: a client gets the token, so it runs as op"},
		"as-root":         {"exec --user 0 cat", nil, 3, "not-permitted"},
		"as-sandbox":      {"exec --user sandbox cat", nil, 3, "not-permitted"},
		"no-such-client":  {"exec --client other", nil, 3, `not-permitted: the configuration has no client "other"`},
		"not-found":       {"exec no-such-program", nil, 127, "cannot exec: \"no-such-program\" is not found"},
		"not-executable":  {"exec /etc/passwd", nil, 126, "is not executable"},
		"agent's":         {"exec AGENT", nil, 3, "cannot exec: unsafe-config: "},
		"no-supervisor":   {"exec cat", func(w *fixture) { must(w.t, os.RemoveAll(w.path)) }, 5, "cannot exec: no-supervisor: no supervisor's files"},
		"supervisor-gone": {"tui", func(w *fixture) { w.local.Process = func(procfs.ID) error { return procfs.ErrGone } }, 5, "cannot tui: no-supervisor: "},
		"token-changed":   {"tui", func(w *fixture) { w.record.Token.Inode++; w.publish() }, 1, "changed"},
		"config-missing":  {"tui", bad(os.ErrNotExist), 1, "cannot tui: file does not exist"},
		"config-bad":      {"tui", bad(syntax), 3, "unsafe-config: /c:1:2: unknown key"},
		"config-unsafe":   {"tui", bad(fmt.Errorf("cannot use it: %w", fsafe.ErrUnsafe)), 3, "unsafe-config: cannot use it"},
		"users": {"tui", func(w *fixture) {
			w.kernel.users = func(*config.Config) (identities, error) { return identities{}, errors.New("no line") }
		}, 3, "unsafe-config: no line"},
		"of-another-gateway": {"tui", func(w *fixture) { w.record.Token.UID = 7; w.publish() }, 1, "changed"},
		"no-lock":            {"exec cat", func(w *fixture) { must(w.t, os.Remove(filepath.Join(w.path, clientlock.Name))) }, 1, "cannot exec: internal: cannot open the client lock"},
		"no-gateway": {"exec cat", func(w *fixture) {
			must(w.t, os.Remove(filepath.Join(w.path, clientlock.Name)))
			w.record.Gateway.Enabled = false
			w.publish()
		}, 4, "cannot exec: not-running: this container runs without a gateway (--no-gateway)"},
		"unsafe-lock": {"exec cat", func(w *fixture) { must(w.t, os.Chmod(filepath.Join(w.path, clientlock.Name), 0o644)) }, 1, "clients.lock: has mode 0644, not 0600"},
		"another-config": {"tui", func(w *fixture) {
			w.kernel.users = func(*config.Config) (identities, error) {
				return identities{gateway: users.User{UID: 7}, operator: users.User{UID: 8, GID: 8}}, nil
			}
		}, 3, "unsafe-config: /etc/gateway-init/config.json says that the gateway is uid 7"},
		"dumpable": {"exec cat", func(w *fixture) { w.local.Hardened = errors.New("refused") }, 1, "not-readable"},
		"run-fails": {"exec cat", func(w *fixture) {
			w.kernel.launch = func(*client.Plan, client.Grant, client.Stdio) (int, error) { return 0, errors.New("no home") }
		}, 1, "cannot exec: no home"},
		"gone-meanwhile": {"exec cat", func(w *fixture) {
			w.kernel.launch = func(*client.Plan, client.Grant, client.Stdio) (int, error) {
				return 0, fmt.Errorf("x: %w", client.ErrNotFound)
			}
		}, 127, "cannot exec: x: not found"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			w := newFixture(t)
			all := w.clients(0, nil)
			w.up()
			if test.change != nil {
				test.change(w)
			}
			agents := filepath.Join(filepath.Dir(w.path), "agents")
			must(t, errors.Join(os.WriteFile(agents, nil, 0o755), os.Chown(agents, testenv.Gateway, 0)))
			for dir := filepath.Dir(w.path); dir != "/"; dir = filepath.Dir(dir) {
				if dir != os.TempDir() {
					_ = os.Chmod(dir, 0o711) // the operator can get there
				}
			}
			w.want(w.run(strings.Fields(strings.ReplaceAll(test.args, "AGENT", agents))...), test.code, "", test.says)
			if len(*all) > 0 {
				t.Error("a client was started")
			}
			if strings.Contains(w.err.String(), hexToken[:16]) || !strings.HasPrefix(w.err.String(), "gatewayctl: ") {
				t.Errorf("stderr is %q", w.err.String())
			}
		})
	}
}

// TestRevokeDevices checks that the client runs after the rotation and with the new
// token. Reasons to refuse it are found before the rotation.
func TestRevokeDevices(t *testing.T) {
	const repeat = "gatewayctl: hint: gatewayctl exec --client revoke-devices\n"
	rotated := "restarted: pid 12 → 34, proven, with a new token\n"
	fresh := strings.Repeat("fedcba9876543210", 4)
	tests := map[string]struct {
		args     string
		change   func(w *fixture)
		exit     int // the client's
		fails    error
		reply    control.Outcome
		code     int
		out, err string
		runs     int
	}{
		"done":           {args: "--rotate-token --revoke-devices", reply: control.OK, out: rotated, runs: 1},
		"without-rotate": {args: "--revoke-devices", code: 2, err: "--revoke-devices needs --rotate-token"},
		"no-client": {args: "--rotate-token --revoke-devices", code: 3, err: `the configuration has no client "revoke-devices"`, change: func(w *fixture) {
			w.local.Config = func() (*config.Config, error) { return &config.Config{}, nil }
		}},
		"another-config": {args: "--rotate-token --revoke-devices", code: 3, err: "unsafe-config", change: func(w *fixture) {
			w.record.Gateway.UID = 7
			w.kernel.users = func(*config.Config) (identities, error) {
				return identities{gateway: users.User{UID: 8}, operator: users.User{UID: 9, GID: 9}}, nil
			}
			w.publish()
		}},
		"rotation-fails": {args: "--rotate-token --revoke-devices", reply: control.Failed, code: 1, err: "cannot restart"},
		"client-fails": {args: "--rotate-token --revoke-devices", reply: control.OK, exit: 3, code: 1, out: rotated, runs: 1,
			err: "the token was rotated, but credentials that the old one had bought may still work: client revoke-devices ended with 3\n" + repeat},
		"does-not-run": {args: "--rotate-token --revoke-devices", reply: control.OK, fails: errors.New("no home"), code: 1, out: rotated, runs: 1,
			err: "may still work: no home\n" + repeat},
		"token-unreadable": {args: "--rotate-token --revoke-devices", reply: control.OK, code: 1, out: rotated, err: repeat, change: func(w *fixture) {
			w.local.Hardened = os.ErrPermission
		}},
		"not-serving-meanwhile": {args: "--rotate-token --revoke-devices", reply: control.OK, code: 1, out: rotated,
			err: "may still work: listener-foreign: 127.0.0.1:18789 of uid 9002\n" + repeat, change: func(w *fixture) {
				w.local.Listeners = func(uint16) ([]sockets.Listener, error) {
					return []sockets.Listener{listener("127.0.0.1:18789", 9002)}, nil
				}
			}},
		"gateway-ends": {args: "--rotate-token --revoke-devices", reply: control.OK, fails: &client.KilledError{Cause: client.ErrGatewayEnded}, code: 1, out: rotated, runs: 1,
			err: "may still work: killed the client: " + client.ErrGatewayEnded.Error() + "\n" + repeat},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			w := newFixture(t)
			all := w.clients(test.exit, test.fails)
			requests := 0
			w.serve(func(s *control.Server, r control.Request) {
				requests++
				if !r.Rotate {
					t.Error("no rotation")
				}
				must(t, os.Remove(w.record.Token.Path))
				w.mint(fresh)
				w.publish()
				s.Reply(control.Reply{Nonce: r.Nonce, Outcome: test.reply, Reason: reason.Exited, OldPID: 12, NewPID: 34})
			})
			w.makeLock()
			w.mint(hexToken)
			w.publish()
			if test.change != nil {
				test.change(w)
			}
			w.want(w.run(append([]string{"restart"}, strings.Fields(test.args)...)...), test.code, test.out, test.err)
			if len(*all) != test.runs || (requests > 0) != (test.reply != "") {
				t.Fatalf("%d clients, %d requests", len(*all), requests)
			}
			for _, l := range *all {
				if l.token != fresh || !l.held || l.io.In != nil || l.io.Out != w.files.Out || l.plan.TTY || l.plan.Argv[0] != "/bin/cat" {
					t.Errorf("client: %+v", l)
				}
			}
		})
	}
}
