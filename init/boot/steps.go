// SPDX-License-Identifier: Apache-2.0

package boot

import (
	"fmt"
	"os"

	"github.com/gateway-init/gateway-init/internal/pathcheck"
	"github.com/gateway-init/gateway-init/internal/privs"
	"github.com/gateway-init/gateway-init/internal/procfs"
	"github.com/gateway-init/gateway-init/internal/status"
	"github.com/gateway-init/gateway-init/internal/sys"
	"github.com/gateway-init/gateway-init/internal/users"
)

// drop reads the privileges that the engine gave, drops those that are not needed,
// and reads the remaining ones back.
func (b *bootstrap) drop() error {
	before, err := privs.ReadOwn()
	if err != nil {
		return err
	}
	keep := uint64(privs.Needed)
	if b.rootless {
		keep = 0
		b.log.Warn().Str("event", evNoSeparation).Uint32("uid", b.users.gateway.UID).
			Msg("not started as root: gateway, agent and this init are one user, and the agent can take the token")
	}
	b.hardening.engine(before, keep, b.bounded)
	b.programs()
	for _, m := range privs.Drop(keep) {
		b.hardening.add(m.Name, m.Detail)
	}
	if b.remaining, err = privs.Read(); err != nil {
		return err
	}
	if !b.rootless {
		if err := checkGranted(b.remaining); err != nil {
			return err
		}
	}
	for _, m := range b.remaining.Excess() {
		b.hardening.add(m.Name, m.Detail)
	}
	b.confine()
	if b.stdio.shared != nil {
		b.hardening.add("shared-stdio", fmt.Sprintf("the agent shares file descriptions with PID 1's log: %v: give gateway-init a pipe, a terminal or a file of its own user as stdout and stderr", b.stdio.shared))
	}
	b.nofile = b.clampNofile()
	b.tryScore()
	return nil
}

// warm makes the spare threads, at its first call. They must exist before the agent
// runs. As a rule that is the command, which waits for the gateway. Then the threads
// are made when the gateway was executed, which does not wait for them. Without root
// the agent may run already.
func (b *bootstrap) warm() { b.warmed.Do(func() { sys.WarmThreads(warmThreads) }) }

// validate returns an error if another user can change a program or script that
// may get the token. It must pass before a gateway is started or given up.
func (b *bootstrap) validate() error {
	uid := b.users.gateway.UID
	var sidecars []pathcheck.Command
	for i, c := range b.cfg.Sidecars {
		if u := b.users.sidecars[i].UID; u == uid || u == b.users.operator.UID {
			sidecars = append(sidecars, pathcheck.Command{Words: c.Command, UID: u})
		}
	}
	if b.held != nil && !b.cfg.Gateway.PassFD {
		sidecars = append(sidecars, pathcheck.Command{Words: []string{relayProgram}, UID: b.users.relay.UID})
	}
	return pathcheck.Commands(pathcheck.Command{Words: b.cfg.Gateway.Command, UID: uid}, sidecars)
}

// subreaper makes orphans our children if we are not PID 1, and reports whether the
// PID namespace is shared with another container. With root, it sends sharedSignal
// to the gateway-init of that container; without root no gateway-init sweeps by
// uid. A gateway-init above us is the plain init of our own container. It gets no
// signal, because it would pass the signal on to its command.
func (b *bootstrap) subreaper() (shared bool) {
	if os.Getpid() == 1 {
		return false
	}
	if err := sys.SetSubreaper(); err != nil {
		b.hardening.add("subreaper", fmt.Sprintf("orphans go to another init: %v", err))
	}
	switch {
	case b.rootless: // docs/managed.md
	case procfs.IsRelated(os.Getpid(), 1):
		b.hardening.notFirst()
	default:
		if comm, err := sys.ReadFile("/proc/1/comm"); err == nil && string(comm) == "gateway-init\n" {
			sys.Kill(1, sharedSignal)
		}
	}
	return true
}

// reportGroups logs the groups that the engine gave PID 1 (--group-add) and that no
// process has, because the operator wanted something by them.
func (b *bootstrap) reportGroups() {
	who := append([]users.User{b.users.sandbox, b.users.operator}, b.users.sidecars...)
	if !b.settings.noGateway {
		who = append(who, b.users.gateway)
	}
	if lost := users.Lost(b.users.engineGroups, who...); lost != "" {
		b.log.Warn().Str("event", evEngineGroups).Str("groups", lost).
			Msg("no process gets these groups of the engine: write them into sandbox.groups or gateway.groups, or take them off --group-add")
	}
}

// reportHardening logs each missing protection in one line, and returns an error if
// they are required. The one that not every gateway can have is not required.
func (b *bootstrap) reportHardening() error {
	for _, h := range b.hardening {
		b.log.Warn().Str("event", evHardening).Str("name", h.Name).Str("detail", h.Detail).Msg("")
	}
	if lacking := status.Missing(b.hardening); b.cfg.RequireHardening && len(lacking) > 0 {
		return fmt.Errorf("cannot start: require_hardening is set and %q is missing (%s)", lacking[0].Name, lacking[0].Detail)
	}
	return nil
}
