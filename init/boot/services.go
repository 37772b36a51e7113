// SPDX-License-Identifier: Apache-2.0

package boot

import (
	"fmt"
	"slices"
	"syscall"

	"github.com/gateway-init/gateway-init/init/plain/entry"
	"github.com/gateway-init/gateway-init/internal/advice"
	"github.com/gateway-init/gateway-init/internal/config"
	"github.com/gateway-init/gateway-init/internal/environ"
	"github.com/gateway-init/gateway-init/internal/policy"
	"github.com/gateway-init/gateway-init/internal/prepare"
	"github.com/gateway-init/gateway-init/internal/sys"
	"github.com/gateway-init/gateway-init/internal/users"
	"github.com/gateway-init/gateway-init/supervisor/launch"
)

// Umasks. A file that PID 1 makes is open to root alone unless PID 1 sets another
// mode. The gateway may share files with its group, and with no other user.
const (
	privateUmask = 0o077
	gatewayUmask = 0o007
	agentUmask   = 0o022
)

// scores holds the OOM score adjustments of children. 0 is PID 1's own.
type scores struct{ gateway, agent int }

// tryScore changes the OOM score as each launch does. Without root a re-exec child
// writes it. That has our user and, like us, is not dumpable, so it has to become
// dumpable for the write. Nothing untrusted runs yet.
func (b *bootstrap) tryScore() {
	if b.rootless {
		err := sys.SetDumpable(true)
		defer func() {
			if err := sys.SetDumpable(false); err != nil {
				b.hardening.add("dumpable", err.Error())
			}
		}()
		if err != nil {
			b.hardening.add("oom-score", err.Error())
			return
		}
	}
	own, err := launch.TryScore()
	switch {
	case err != nil:
		b.hardening.add("oom-score", fmt.Sprintf("the kernel does not end the agent before the gateway when memory runs out: %v", err))
	case own >= policy.MaxOOMScore:
		b.hardening.add("oom-score", fmt.Sprintf("PID 1 has the highest adjustment, %d, so the kernel does not end the agent first when memory runs out: run with a lower --oom-score-adj, in Kubernetes with requests for cpu and memory", own))
	default:
		b.scores.gateway, b.scores.agent = policy.OOMScores(own)
	}
}

// identities holds the resolved users of the configuration.
type identities struct {
	gateway, sandbox, operator users.User
	relay                      users.User // the zero value without a published port
	sidecars                   []users.User
	owners                     []users.User // of the prepare entries
	engineGroups               []uint32     // supplementary groups that the engine gave PID 1; without root all children keep them
}

// all returns every user, some of them more than once.
func (who identities) all() []users.User {
	all := slices.Concat([]users.User{who.gateway, who.sandbox, who.operator}, who.sidecars, who.owners)
	if who.relay.UID != 0 {
		all = append(all, who.relay)
	}
	return all
}

// resolveUsers looks up all users. The gateway, sandbox and operator must be separate
// accounts.
func resolveUsers(cfg *config.Config) (who identities, err error) {
	db, err := users.Load()
	if err != nil {
		return who, err
	}
	who.gateway, who.sandbox, who.operator, err = db.Separate(cfg.Gateway.User, cfg.SandboxUser, cfg.OperatorUser)
	if err != nil {
		return who, err
	}
	who.gateway, who.sandbox = who.gateway.With(cfg.Gateway.Groups), who.sandbox.With(cfg.SandboxGroups)
	if gid := int(who.gateway.GID); slices.Contains(cfg.SandboxGroups, gid) {
		return who, fmt.Errorf("cannot use sandbox.groups: %d is the gateway's primary group, and the agent must not have it: take it out of the list", gid)
	}
	who.engineGroups = db.EngineGroups()
	for i, c := range cfg.Sidecars {
		u, err := db.ResolveKey(fmt.Sprintf("sidecars[%d].user", i), c.User)
		if err != nil {
			return who, err
		}
		switch u.UID { // one uid has the same groups in all of its processes
		case who.gateway.UID:
			u = u.With(cfg.Gateway.Groups)
		case who.sandbox.UID:
			u = u.With(cfg.SandboxGroups)
		}
		who.sidecars = append(who.sidecars, u)
	}
	for i, p := range cfg.Prepare {
		u, err := db.ResolveKey(fmt.Sprintf("prepare[%d].owner", i), p.Owner)
		if err != nil {
			return who, err
		}
		who.owners = append(who.owners, u)
	}
	if cfg.Publish != nil && !cfg.Gateway.PassFD {
		if who.relay, err = db.ResolveKey("relay.user", cfg.RelayUser); err == nil {
			err = who.checkRelay()
		}
	}
	return who, err
}

// identify returns the resolved users. Without root all of them are our own user.
func identify(cfg *config.Config, env environ.List, rootless bool) (identities, error) {
	if !rootless {
		return resolveUsers(cfg)
	}
	home, _ := env.Value("HOME")
	u, err := users.Self(home)
	if err != nil {
		return identities{}, err
	}
	who := identities{gateway: u, sandbox: u, operator: u, relay: u}
	for range cfg.Sidecars {
		who.sidecars = append(who.sidecars, u)
	}
	for range cfg.Prepare {
		who.owners = append(who.owners, u)
	}
	return who, nil
}

// clampNofile returns the RLIMIT_NOFILE that the gateway gets. It is not above our
// hard limit, because raising that needs CAP_SYS_RESOURCE, which we do not have.
func (b *bootstrap) clampNofile() uint64 {
	want := b.cfg.Gateway.Nofile
	var have syscall.Rlimit
	if want == 0 || syscall.Getrlimit(syscall.RLIMIT_NOFILE, &have) != nil || want <= have.Max {
		return want
	}
	b.hardening.add("nofile", "rlimits.nofile is above the engine's hard limit and was lowered to it: "+advice.Descriptors("N"))
	return have.Max
}

// started returns the settings that Go's runtime has changed and that children get back. It
// returns nil in a build without our entry point (-E): then nothing has noted them.
func started() *launch.Started {
	state, noted := entry.Noted()
	if !noted {
		return nil
	}
	return &launch.Started{Mask: state.Mask, Nofile: syscall.Rlimit{Cur: state.Nofile[0], Max: state.Nofile[1]}}
}

func (b *bootstrap) gateway() *launch.Child {
	g, u := b.cfg.Gateway, b.users.gateway
	return &launch.Child{
		UID: u.UID, GID: u.GID, Groups: u.Groups, Stdio: b.stdio.gateway,
		Spec: launch.Spec{
			Argv: g.Command, Env: environ.Built(u, g.Env, g.PassEnv, b.env, g.TokenEnv), Dir: g.WorkingDir,
			Umask: gatewayUmask, Nofile: b.nofile, OOMAdj: b.scores.gateway, Token: &launch.Token{Env: g.TokenEnv}, Confine: b.confined,
		},
		Answered: b.warm,
	}
}

func (b *bootstrap) sidecars() (out []launch.Child) {
	for i, c := range b.cfg.Sidecars {
		u := b.users.sidecars[i]
		marked := append(slices.Clone(c.Env), config.SidecarEnv+"="+c.Name)
		l := launch.Child{
			UID: u.UID, GID: u.GID, Groups: u.Groups, Stdio: b.stdio.container,
			Spec: launch.Spec{
				Argv: c.Command, Env: environ.Built(u, marked, c.PassEnv, b.env, b.cfg.Gateway.TokenEnv), Dir: "/",
				Umask: agentUmask, OOMAdj: b.scores.agent, Confine: b.confinesSidecar(u.UID),
			},
		}
		l.Stdio[0] = b.stdio.worker[0]
		if c.WorkingDir != "" {
			l.Spec.Dir = c.WorkingDir
		}
		if c.TokenEnv != "" && (u.UID == b.users.operator.UID || u.UID == b.users.gateway.UID) {
			l.Spec.Token = &launch.Token{Env: c.TokenEnv}
		}
		out = append(out, l)
	}
	return out
}

// command returns the child for the container's command. The child gets the
// container's descriptors, and the terminal if there is one. It inherits the container's
// working directory from PID 1, because its user may have no right to enter that. PID 1
// then leaves it.
func (b *bootstrap) command() *launch.Child {
	u := b.users.sandbox
	return &launch.Child{
		UID: u.UID, GID: u.GID, Groups: u.Groups, Stdio: b.stdio.container,
		Spec: launch.Spec{
			Argv: b.settings.command, Env: environ.Inherited(u, b.env, b.cfg.Gateway.TokenEnv), Dir: b.cwd, Stay: true,
			Umask: agentUmask, OOMAdj: b.scores.agent, Foreground: sys.IsTerminal(0),
		},
	}
}

// worker returns the child for a proof worker, with the gateway's UID and without
// the container's descriptors.
func (b *bootstrap) worker() launch.Child {
	u := b.users.gateway
	return launch.Child{
		UID: u.UID, GID: u.GID, Groups: u.Groups, Stdio: b.stdio.worker,
		Spec: launch.Spec{Umask: gatewayUmask, OOMAdj: b.scores.gateway},
	}
}

func (b *bootstrap) prepareEntries() (dirs []prepare.Directory) {
	for i, p := range b.cfg.Prepare {
		u := b.users.owners[i]
		dirs = append(dirs, prepare.Directory{Path: p.Path, UID: u.UID, GID: u.GID, Mode: p.Mode})
	}
	return dirs
}

// otherUIDs returns the uids, besides the gateway's, whose processes end with the
// container.
func (b *bootstrap) otherUIDs() []uint32 {
	if b.rootless {
		return []uint32{b.users.sandbox.UID}
	}
	uids := []uint32{b.users.sandbox.UID, b.users.operator.UID}
	for _, u := range b.users.sidecars {
		if u.UID != b.users.gateway.UID && u.UID != uids[0] && u.UID != uids[1] {
			uids = append(uids, u.UID)
		}
	}
	return uids
}
