// SPDX-License-Identifier: Apache-2.0

package config

import "time"

// table is the field of an object. It has a row for each key, in the order in which
// the keys are printed. The functions below return the tables of the configuration.
type table []key

// key is one row of a table: all that there is to say about a key of the file. Its
// default is JSON, as a file would have it, or one of the words below.
type key struct {
	name string
	field
	def string
}

// maxID is the largest gid that engines and internal/users accept.
const maxID = 1<<31 - 1

// These words set nothing. So does "as KEY", where finish takes the value of KEY.
const (
	needed = "required"
	none   = "none" // without a value the key is not printed
)

func (c *Config) table() table {
	return table{
		{"gateway", c.Gateway.table(), `{}`},
		{"publish", &publish{&c.Publish}, none},
		{"relay", table{{"user", &word{&c.RelayUser, &userForm}, `"relay"`}}, `{}`},
		{"prepare", (*prepares)(&c.Prepare), `[]`},
		{"sandbox", table{
			{"user", &word{&c.SandboxUser, &userForm}, `"sandbox"`},
			{"groups", &codes{&c.SandboxGroups, 0, 1, maxID}, `[]`},
			{"evict", (*boolean)(&c.SandboxEvict), `true`},
			{"evict_port", (*boolean)(&c.SandboxEvictPort), `false`},
		}, `{}`},
		{"operator", table{
			{"user", &word{&c.OperatorUser, &userForm}, `"operator"`},
			{"env", (*env)(&c.OperatorEnv), `{}`},
			{"pass_env", (*passEnv)(&c.OperatorPassEnv), `[]`},
		}, `{}`},
		{"clients", (*clients)(&c.Clients), `{}`},
		{"sidecars", (*sidecars)(&c.Sidecars), `[]`},
		{"runtime_dir", &limited{&word{&c.RuntimeDir, &filePath}, "not /, not below /proc or /sys"}, `"/run/gateway-init"`},
		{"require_tmpfs", (*boolean)(&c.RequireTmpfs), `true`},
		{"require_hardening", (*boolean)(&c.RequireHardening), `false`},
		{"require_separation", (*boolean)(&c.RequireSeparation), `false`},
		{"command_start", &choice{&c.CommandStart, "after-gateway, immediate"}, `"after-gateway"`},
		{"log", table{{"format", &choice{&c.LogFormat, "json, text"}, `"json"`}}, `{}`},
	}
}

func (g *Gateway) table() table {
	ready := g.Ready.table("as gateway.health.path", "as gateway.health.status", "as gateway.health.json", `"1m30s"`)
	ready = append(ready, key{"give_up", &limited{&duration{&g.GiveUp, 100 * time.Millisecond, 24 * time.Hour},
		"not below gateway.ready.timeout; the default is four times that"}, `"6m"`})
	ready[2].field = &limited{ready[2].field, "the default is {} if gateway.ready.path is set"}
	health := g.Health.table(`"/health"`, `[200]`, `{}`, `"3s"`)
	return table{
		{"command", (*command)(&g.Command), needed},
		{"user", &word{&g.User, &userForm}, `"gateway"`},
		{"groups", &codes{&g.Groups, 0, 1, maxID}, `[]`},
		{"working_dir", &word{&g.WorkingDir, &filePath}, `"/"`},
		{"env", (*env)(&g.Env), `{}`},
		{"pass_env", (*passEnv)(&g.PassEnv), `[]`},
		{"token_env", &word{&g.TokenEnv, &envName}, `"OPENCLAW_GATEWAY_TOKEN"`},
		{"confine", &choice{&g.Confine, "none, proc"}, `"none"`},
		{"listen", g.listenTable(), `{}`},
		{"ready", ready, `{}`},
		{"health", append(health,
			key{"interval", &duration{&g.Health.Interval, 100 * time.Millisecond, 24 * time.Hour}, `"30s"`}), `{}`},
		{"auth_check", &authCheck{&g.AuthCheck}, none},
		{"stop", table{
			{"signal", (*stopSignal)(&g.StopSignal), `"SIGTERM"`},
			{"grace", &duration{&g.StopGrace, 100 * time.Millisecond, time.Hour}, `"7s"`},
		}, `{}`},
		{"reload", table{{"signal", (*reloadSignal)(&g.Reload), none}}, `{}`},
		{"restart", table{
			{"backoff_min", &limited{&duration{&g.BackoffMin, 10 * time.Millisecond, time.Hour}, "at most backoff_max"}, `"200ms"`},
			{"backoff_max", &duration{&g.BackoffMax, 10 * time.Millisecond, time.Hour}, `"30s"`},
			{"reset_after", &duration{&g.ResetAfter, time.Second, 24 * time.Hour}, `"1m"`},
			{"hold_codes", &codes{&g.HoldCodes, 0, 0, 255}, `[]`},
			{"exit_texts", (*exitTexts)(&g.ExitTexts), `{}`},
		}, `{}`},
		{"rlimits", table{{"nofile", &whole[uint64]{&g.Nofile, 16, 1 << 20}, none}}, `{}`},
	}
}

// table takes the defaults, because those of ready and health differ.
func (b *Probe) table(path, status, json, timeout string) table {
	return table{
		{"path", &word{&b.Path, &requestPath}, path},
		{"status", &codes{&b.Status, 1, 100, 599}, status},
		{"json", (*expect)(&b.JSON), json},
		{"timeout", &duration{&b.Timeout, 100 * time.Millisecond, time.Hour}, timeout},
	}
}

func (a *AuthCheck) table() table {
	return table{
		{"method", &choice{&a.Method, "GET, POST"}, `"GET"`},
		{"path", &word{&a.Path, &requestPath}, needed},
		{"body", &limited{&word{&a.Body, &bodyText}, "POST only"}, `""`},
		{"with_token", &codes{&a.WithToken, 1, 100, 599}, needed},
		{"without_token", &limited{&codes{&a.WithoutToken, 1, 100, 599}, "none of with_token"}, needed},
	}
}

func (p *Prepare) table() table {
	return table{
		{"path", &limited{&word{&p.Path, &filePath}, "not /"}, needed},
		{"type", &choice{&p.Type, "directory"}, `"directory"`},
		{"owner", &word{&p.Owner, &userForm}, "as gateway.user"},
		{"mode", (*mode)(&p.Mode), `"0700"`},
	}
}

func (s *Sidecar) table() table {
	return table{
		{"name", &limited{&word{&s.Name, &sidecarName}, "each name once"}, needed},
		{"command", (*command)(&s.Command), needed},
		{"user", &word{&s.User, &userForm}, "as sandbox.user"},
		{"working_dir", &word{&s.WorkingDir, &filePath}, none},
		{"env", (*env)(&s.Env), `{}`},
		{"pass_env", (*passEnv)(&s.PassEnv), `[]`},
		{"token_env", &limited{&word{&s.TokenEnv, &envName}, "only if sidecars[].user has the same text as gateway.user or operator.user"}, none},
		{"restart", &choice{&s.Restart, "always, on-failure, never"}, `"always"`},
		{"pending", &word{&s.Pending, &pendingText}, none},
	}
}

func (p *Publish) table() table {
	return table{
		{"port", &whole[uint16]{&p.Port, 1, 65535}, needed},
		{"address", &choice{&p.Address, publishAddresses}, `"127.0.0.1"`},
		{"wait", &duration{&p.Wait, 100 * time.Millisecond, 5 * time.Minute}, `"10s"`},
	}
}

func (g *Gateway) listenTable() table {
	return table{
		{"port", &limited{&whole[uint16]{&g.Port, 1, 65535}, "not publish.port; random if only port_env is given, publish.port with pass_fd"}, `18789`},
		{"port_env", &limited{&word{&g.PortEnv, &envName}, "without gateway.listen.port only with publish"}, none},
		{"pass_fd", &limited{(*boolean)(&g.PassFD), "only with publish, and without gateway.listen.port and port_env"}, `false`},
	}
}
