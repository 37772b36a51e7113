// SPDX-License-Identifier: Apache-2.0

package client

import (
	"fmt"
	"os"
	"strings"
	"syscall"
	"time"

	"github.com/gateway-init/gateway-init/internal/environ"
	"github.com/gateway-init/gateway-init/internal/pathcheck"
	"github.com/gateway-init/gateway-init/internal/sys"
	"github.com/gateway-init/gateway-init/internal/users"
)

// Spec is the client that the caller wants.
type Spec struct {
	Argv       []string // Argv[0] is a name or an absolute path
	Configured bool     // Argv is from the configuration, so its files are checked too
	User       users.User
	Dir        string // "" is HOME
	Env        []string
	PassEnv    []string
	Caller     environ.List // the environment of gatewayctl
	TokenEnv   string
	TTY        bool
}

// Plan is a client that may run. Making it has no effect.
type Plan struct {
	Spec
	Notes []string     // for the user, a line each
	path  string       // of the program
	base  environ.List // without HOME and TMPDIR
	grace time.Duration
}

// New decides, with the operator's rights, whether the client may have the
// token.
func New(s Spec) (*Plan, error) {
	p := &Plan{Spec: s, grace: grace}
	return p, sys.AsFileOwner(s.User.UID, s.User.GID, p.resolve)
}

func (p *Plan) resolve() (err error) {
	kept, left := searchPath(p.User.UID)
	for _, why := range left {
		p.Notes = append(p.Notes, "left out of PATH: "+why)
	}
	p.base = environ.Base(p.User)
	p.base.Set("PATH", kept)
	p.look()
	// The configuration may set another PATH; the caller may not.
	if p.path, err = find(p.Argv[0], p.clone().Extend(p.Env, nil, nil, p.TokenEnv), p.User.UID); err != nil {
		return err
	}
	if p.Configured {
		if err := pathcheck.Arguments(p.Argv[1:], p.User.UID); err != nil {
			return err
		}
	}
	if p.Dir == "" {
		return nil
	}
	f, err := os.OpenFile(p.Dir, os.O_RDONLY|syscall.O_DIRECTORY, 0)
	if err != nil {
		return fmt.Errorf("cannot use --dir as user %s: %w", p.User.Name, err)
	}
	return f.Close()
}

// look takes from the caller the variables that tell a program how to draw.
func (p *Plan) look() {
	for _, name := range []string{"TERM", "COLORTERM"} {
		if v, ok := p.Caller.Value(name); ok && p.TTY && terminalName(v) {
			p.base.Set(name, v)
		}
	}
	if v, _ := p.Caller.Value("NO_COLOR"); v != "" {
		p.base.Set("NO_COLOR", "1")
	}
}

// terminalName reports whether s can be a terminal's name. It is strict because
// terminfo makes a file's path of TERM.
func terminalName(s string) bool {
	const accepted = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._+-"
	return s != "" && len(s) <= 64 && strings.Trim(s, accepted) == ""
}

func (p *Plan) clone() environ.List { return append(environ.List(nil), p.base...) }

// environment returns the client's environment, without the token.
func (p *Plan) environment(h *home) environ.List {
	e := p.clone()
	e.Set("HOME", h.path)
	e.Set("TMPDIR", h.path+"/"+tmpDir)
	return e.Extend(p.Env, p.PassEnv, p.Caller, p.TokenEnv)
}
