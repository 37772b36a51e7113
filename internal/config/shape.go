// SPDX-License-Identifier: Apache-2.0

package config

import "slices"

// The most entries that each list may have.
const (
	maxPrepare  = 64
	maxSidecars = 16
	maxClients  = 32
	maxArgs     = 256
	maxEnv      = 256
	maxCodes    = 32
	maxExpect   = 32
)

// Each switch below is the table of one object. A case has a key, the method that
// takes its value, and the destination. As maps of functions the tables would take
// some 40 KiB more in PID 1.

func (d *decoder) top(key string, n node) bool {
	c := d.c
	switch key {
	case "gateway":
		d.object(n, d.gateway)
	case "prepare":
		d.list(n, maxPrepare, d.prepare)
	case "sandbox":
		d.object(n, only("user", d.user, &c.SandboxUser))
	case "operator":
		d.object(n, d.operator)
	case "clients":
		d.clients(n)
	case "sidecars":
		d.list(n, maxSidecars, d.sidecar)
	case "runtime_dir":
		d.path(n, &c.RuntimeDir)
	case "require_tmpfs":
		d.boolean(n, &c.RequireTmpfs)
	case "require_hardening":
		d.boolean(n, &c.RequireHardening)
	case "require_separation":
		d.boolean(n, &c.RequireSeparation)
	case "command_start":
		d.choice(n, &c.CommandStart, "after-gateway", "immediate")
	case "log":
		d.object(n, only("format", d.logFormat, &c.LogFormat))
	default:
		return false
	}
	return true
}

// only returns the table of an object with one key.
func only[T any](key string, take func(node, *T), to *T) table {
	return func(have string, n node) bool {
		if have == key {
			take(n, to)
		}
		return have == key
	}
}

func (d *decoder) operator(key string, n node) bool {
	c := d.c
	switch key {
	case "user":
		d.user(n, &c.OperatorUser)
	case "env":
		d.env(n, &c.OperatorEnv)
	case "pass_env":
		d.passEnv(n, &c.OperatorPassEnv)
	default:
		return false
	}
	return true
}

func (d *decoder) gateway(key string, n node) bool {
	g := &d.c.Gateway
	switch key {
	case "command":
		d.command(n, &g.Command)
	case "user":
		d.user(n, &g.User)
	case "working_dir":
		d.path(n, &g.WorkingDir)
	case "env":
		d.env(n, &g.Env)
	case "pass_env":
		d.passEnv(n, &g.PassEnv)
	case "token_env":
		d.envName(n, &g.TokenEnv)
	case "listen":
		d.object(n, only("port", d.port, &g.Port))
	case "ready":
		d.object(n, d.ready)
	case "health":
		d.object(n, d.health)
	case "auth_check":
		d.authCheck(n)
	case "stop":
		d.object(n, d.stop)
	case "restart":
		d.object(n, d.restart)
	case "rlimits":
		d.object(n, only("nofile", d.nofile, &g.Nofile))
	default:
		return false
	}
	return true
}

func (d *decoder) stop(key string, n node) bool {
	g := &d.c.Gateway
	switch key {
	case "signal":
		d.signal(n, &g.StopSignal)
	case "grace":
		d.grace(n, &g.StopGrace)
	default:
		return false
	}
	return true
}

func (d *decoder) restart(key string, n node) bool {
	g := &d.c.Gateway
	switch key {
	case "backoff_min":
		d.backoff(n, &g.BackoffMin)
	case "backoff_max":
		d.backoff(n, &g.BackoffMax)
	case "reset_after":
		d.resetAfter(n, &g.ResetAfter)
	case "hold_codes":
		d.codes(n, &g.HoldCodes, 0, 255)
	case "exit_texts":
		d.exitTexts(n, &g.ExitTexts)
	default:
		return false
	}
	return true
}

func (d *decoder) ready(key string, n node) bool { return d.probe(&d.c.Gateway.Ready, key, n) }

func (d *decoder) health(key string, n node) bool {
	p := &d.c.Gateway.Health
	if key == "interval" {
		d.interval(n, &p.Interval)
		return true
	}
	return d.probe(p, key, n)
}

func (d *decoder) probe(p *Probe, key string, n node) bool {
	switch key {
	case "path":
		d.httpPath(n, &p.Path)
	case "status":
		d.statuses(n, &p.Status)
	case "json":
		d.expect(n, &p.JSON)
	case "timeout":
		d.timeout(n, &p.Timeout)
	default:
		return false
	}
	return true
}

func (d *decoder) authCheck(n node) {
	a := &AuthCheck{Method: "GET"}
	d.object(n, func(key string, n node) bool {
		switch key {
		case "method":
			d.choice(n, &a.Method, "GET", "POST")
		case "path":
			d.httpPath(n, &a.Path)
		case "body":
			d.text(n, &a.Body, 4096)
		case "with_token":
			d.statuses(n, &a.WithToken)
		case "without_token":
			d.statuses(n, &a.WithoutToken)
		default:
			return false
		}
		return true
	})
	d.need(n, "path", a.Path != "")
	d.need(n, "with_token", a.WithToken != nil)
	d.need(n, "without_token", a.WithoutToken != nil)
	if a.Method == "GET" && a.Body != "" {
		d.fail(n, "has a body, which GET does not send (accepted: method POST)")
	}
	for _, code := range a.WithToken {
		if slices.Contains(a.WithoutToken, code) {
			d.fail(n, "status %d stands in with_token and in without_token, so it proves nothing", code)
		}
	}
	d.c.Gateway.AuthCheck = a
}

// need refuses an object without one of its keys.
func (d *decoder) need(n node, key string, given bool) {
	if !given {
		d.fail(n, "%s is missing", key)
	}
}

func (d *decoder) prepare(n node) {
	p := Prepare{Type: "directory", Mode: 0o700}
	d.object(n, func(key string, n node) bool {
		switch key {
		case "path":
			d.path(n, &p.Path)
		case "type":
			d.choice(n, &p.Type, "directory")
		case "owner":
			d.user(n, &p.Owner)
		case "mode":
			d.mode(n, &p.Mode)
		default:
			return false
		}
		return true
	})
	d.need(n, "path", p.Path != "")
	if p.Path == "/" {
		d.fail(n, "path is / (accepted: an absolute path below it)")
	}
	d.c.Prepare = append(d.c.Prepare, p)
}

func (d *decoder) sidecar(n node) {
	s := Sidecar{Restart: "always"}
	d.object(n, func(key string, n node) bool {
		switch key {
		case "name":
			d.sidecarName(n, &s.Name)
		case "command":
			d.command(n, &s.Command)
		case "user":
			d.user(n, &s.User)
		case "working_dir":
			d.path(n, &s.WorkingDir)
		case "env":
			d.env(n, &s.Env)
		case "pass_env":
			d.passEnv(n, &s.PassEnv)
		case "token_env":
			d.envName(n, &s.TokenEnv)
		case "restart":
			d.choice(n, &s.Restart, "always", "on-failure", "never")
		default:
			return false
		}
		return true
	})
	d.need(n, "name", s.Name != "")
	d.need(n, "command", s.Command != nil)
	d.c.Sidecars = append(d.c.Sidecars, s)
}
