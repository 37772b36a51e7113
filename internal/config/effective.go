// SPDX-License-Identifier: Apache-2.0

package config

import (
	"fmt"
	"io"
	"strconv"
	"syscall"
)

// WriteEffective prints every value, defaults included, as a configuration that
// Parse reads back as the same. The values of env are printed too, because they
// stand in a file that every user in the image can read.
func (c *Config) WriteEffective(w io.Writer) error {
	p := &printer{}
	p.object("", func() { c.print(p) })
	_, err := io.WriteString(w, p.b.String()+"\n")
	return err
}

func (c *Config) print(p *printer) {
	p.object("gateway", func() { c.Gateway.print(p) })
	p.list("prepare", func() {
		for _, e := range c.Prepare {
			p.object("", func() {
				p.text("path", e.Path)
				p.text("type", e.Type)
				p.text("owner", e.Owner)
				p.text("mode", fmt.Sprintf("%04o", e.Mode))
			})
		}
	})
	p.object("sandbox", func() { p.text("user", c.SandboxUser) })
	p.object("operator", func() {
		p.text("user", c.OperatorUser)
		p.pairs("env", c.OperatorEnv)
		p.texts("pass_env", c.OperatorPassEnv)
	})
	p.object("clients", func() {
		for _, k := range c.Clients {
			p.texts(k.Name, k.Command)
		}
	})
	p.list("sidecars", func() {
		for i := range c.Sidecars {
			p.object("", func() { c.Sidecars[i].print(p) })
		}
	})
	p.text("runtime_dir", c.RuntimeDir)
	p.boolean("require_tmpfs", c.RequireTmpfs)
	p.boolean("require_hardening", c.RequireHardening)
	p.boolean("require_separation", c.RequireSeparation)
	p.text("command_start", c.CommandStart)
	p.object("log", func() { p.text("format", c.LogFormat) })
}

func (g *Gateway) print(p *printer) {
	p.texts("command", g.Command)
	p.text("user", g.User)
	p.text("working_dir", g.WorkingDir)
	p.pairs("env", g.Env)
	p.texts("pass_env", g.PassEnv)
	p.text("token_env", g.TokenEnv)
	p.object("listen", func() { p.number("port", uint64(g.Port)) })
	p.object("ready", func() { g.Ready.print(p) })
	p.object("health", func() {
		g.Health.print(p)
		p.span("interval", g.Health.Interval)
	})
	if g.AuthCheck != nil {
		p.object("auth_check", func() { g.AuthCheck.print(p) })
	}
	p.object("stop", func() {
		p.text("signal", signalName(g.StopSignal))
		p.span("grace", g.StopGrace)
	})
	p.object("restart", func() {
		p.span("backoff_min", g.BackoffMin)
		p.span("backoff_max", g.BackoffMax)
		p.span("reset_after", g.ResetAfter)
		p.numbers("hold_codes", g.HoldCodes)
		p.object("exit_texts", func() {
			for _, e := range g.ExitTexts {
				p.text(strconv.Itoa(e.Code), e.Text)
			}
		})
	})
	if g.Nofile != 0 {
		p.object("rlimits", func() { p.number("nofile", g.Nofile) })
	}
}

func (b *Probe) print(p *printer) {
	p.text("path", b.Path)
	p.numbers("status", b.Status)
	p.object("json", func() {
		for _, e := range b.JSON {
			p.raw(e.Key, e.Value)
		}
	})
	p.span("timeout", b.Timeout)
}

func (a *AuthCheck) print(p *printer) {
	p.text("method", a.Method)
	p.text("path", a.Path)
	p.text("body", a.Body)
	p.numbers("with_token", a.WithToken)
	p.numbers("without_token", a.WithoutToken)
}

func (s *Sidecar) print(p *printer) {
	p.text("name", s.Name)
	p.texts("command", s.Command)
	p.text("user", s.User)
	if s.WorkingDir != "" {
		p.text("working_dir", s.WorkingDir)
	}
	p.pairs("env", s.Env)
	p.texts("pass_env", s.PassEnv)
	if s.TokenEnv != "" {
		p.text("token_env", s.TokenEnv)
	}
	p.text("restart", s.Restart)
}

func signalName(s syscall.Signal) string {
	for _, name := range stopSignals() {
		if signalNumber(name) == s {
			return name
		}
	}
	return s.String()
}
