// SPDX-License-Identifier: Apache-2.0

package boot

import (
	"fmt"
	"os"
	"strconv"
	"strings"

	"github.com/gateway-init/gateway-init/internal/config"
	"github.com/gateway-init/gateway-init/internal/fsafe"
	"github.com/gateway-init/gateway-init/internal/ports"
	"github.com/gateway-init/gateway-init/internal/relaycount"
	"github.com/gateway-init/gateway-init/internal/relaylink"
	"github.com/gateway-init/gateway-init/internal/runtimedir"
	"github.com/gateway-init/gateway-init/internal/status"
	"github.com/gateway-init/gateway-init/supervisor"
	"github.com/gateway-init/gateway-init/supervisor/launch"
)

// relayProgram is where the images have gateway-relay.
const relayProgram = "/usr/local/sbin/gateway-relay"

// notHeld is the name under hardening of a published port that PID 1 does not hold.
const notHeld = "port-not-held"

// checkPort refuses a gateway's port from which the kernel also takes the source ports of
// connections. A range that cannot be read is no reason to end boot.
func checkPort(g *config.Gateway) error {
	if g.RandomPort() || g.PassFD {
		return nil
	}
	e, err := ports.ReadEphemeral()
	if err != nil || !e.Has(g.Port) || ports.IsReserved(g.Port) {
		return nil
	}
	return fmt.Errorf("cannot use gateway.listen.port %d: the kernel gives ports from %d to %d to clients (net.ipv4.ip_local_port_range), so a client can have it when the gateway starts: use a port outside, or gateway.listen.port_env, or --sysctl net.ipv4.ip_local_reserved_ports=%d",
		g.Port, e.First, e.Last, g.Port)
}

// holdPort binds the published port, before anything untrusted runs. If another process
// has it, the gateway runs without a published port, and hardening names that process.
func (b *bootstrap) holdPort() {
	p := b.cfg.Publish
	switch {
	case b.settings.noGateway:
		return
	case p == nil && !b.rootless: // without root all are one user, and a held port proves little
		b.hardening.add(notHeld, "while the gateway is down, the agent can listen on its port: add publish to the configuration")
		return
	case p == nil:
		return
	}
	address := p.Address
	if address == config.PublishAll && ports.HasDevice() {
		address = config.PublishLoopback
		b.hardening.add("published-on-loopback", "the container has the host's network, so port "+strconv.Itoa(int(p.Port))+" is published on loopback alone: give publish.address 0.0.0.0 or :: if every host may reach it")
	}
	held, err := ports.Hold(p.Port, address)
	b.published = &status.Publish{Port: p.Port, Address: address}
	if err != nil {
		b.published.Problem = err.Error()
		b.hardening.add(notHeld, err.Error())
		b.log.Error().Str("event", evNotPublished).Err(err).Msg("")
		return
	}
	b.held = held
	for _, addr := range held.Addrs {
		b.published.Listens = append(b.published.Listens, addr.String())
	}
	b.published.Cookies = held.Cookies
}

// publish sets what the supervisor needs to know about the published port.
func (b *bootstrap) publish(c *supervisor.Config, dir *runtimedir.Dir) error {
	g := &b.cfg.Gateway
	if g.RandomPort() {
		e, err := ports.ReadEphemeral()
		if err != nil {
			return err
		}
		c.PickPort = func() (uint16, error) { return e.Pick(b.cfg.Publish.Port) }
	}
	switch {
	case b.held == nil && g.PassFD:
		return fmt.Errorf("cannot start the gateway: %s: it gets the published port's sockets (gateway.listen.pass_fd), and there are none", b.published.Problem)
	case b.held == nil:
		return nil
	case g.PassFD:
		c.Held = b.held.Cookies
		c.Gateway.Pass, c.Gateway.Spec.Listen = b.held.Listening, true
		return nil
	}
	counters, err := makeCounters(dir.File)
	if err != nil {
		return addRemedy(fmt.Errorf("cannot make the relay's counters: %w", err), dir)
	}
	c.Relay = &supervisor.Relay{Launch: b.relay(counters), Link: func() (supervisor.RelayLink, *os.File, error) {
		ours, theirs, err := relaylink.Pair()
		if err != nil {
			return nil, nil, err // not a nil pointer in an interface
		}
		return ours, theirs, nil
	}}
	return nil
}

// makeCounters makes the file of the relay's counters and returns it open. The caller owns
// the descriptor and passes it to each relay.
func makeCounters(dir *os.File) (*os.File, error) {
	if err := fsafe.RemoveLeftover(dir, relaycount.Name, uint32(os.Geteuid())); err != nil {
		return nil, err
	}
	f, err := fsafe.CreateAt(dir, relaycount.Name, 0o600)
	if err != nil {
		return nil, err
	}
	if err := relaycount.Init(f); err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// relay returns the child that copies bytes between clients and the gateway. It has the
// channel, its counters and the listening sockets, and no right and no variable.
func (b *bootstrap) relay(counters *os.File) launch.Child {
	u := b.users.relay
	argv := []string{relayProgram, "--listeners", strconv.Itoa(len(b.held.Listening)), "--wait", b.cfg.Publish.Wait.String(),
		"--log", b.cfg.LogFormat, "--operator", strconv.Itoa(int(b.users.operator.UID))}
	if b.rootless {
		argv = append(argv, "--one-user")
	}
	l := launch.Child{
		UID: u.UID, GID: u.GID, Groups: nil, Stdio: b.stdio.container,
		Spec: launch.Spec{Argv: argv, Dir: "/", Umask: privateUmask, FileSize: relaycount.Size, OOMAdj: b.scores.gateway},
		Pass: append([]*os.File{nil, counters}, b.held.Listening...),
	}
	l.Stdio[0] = b.stdio.worker[0]
	return l
}

// checkRelay returns an error if the relay's user is another role's. Whoever can trace the
// relay can read every token that passes through it.
func (who identities) checkRelay() error {
	roles := map[string]uint32{"gateway.user": who.gateway.UID, "sandbox.user": who.sandbox.UID, "operator.user": who.operator.UID}
	var same []string
	for key, uid := range roles {
		if uid == who.relay.UID {
			same = append(same, key)
		}
	}
	for i, u := range who.sidecars {
		if u.UID == who.relay.UID {
			same = append(same, fmt.Sprintf("sidecars[%d].user", i))
		}
	}
	if same == nil {
		return nil
	}
	return fmt.Errorf("cannot use relay.user: uid %d is also that of %s, whose processes could read what clients send: give the relay a user of its own", who.relay.UID, strings.Join(same, " and "))
}
