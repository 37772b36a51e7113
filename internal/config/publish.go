// SPDX-License-Identifier: Apache-2.0

package config

import (
	"slices"
	"strings"
	"time"
)

// Publish is the port on which clients reach the gateway. PID 1 holds it for the life of
// the container.
type Publish struct {
	Port    uint16
	Address string        // one of the published addresses
	Wait    time.Duration // how long a client waits for a proven gateway
}

// The published addresses. Loopback is always published.
const (
	PublishLoopback = "127.0.0.1"
	PublishIPv4     = "0.0.0.0"
	PublishIPv6     = "::"
	PublishAll      = "*"

	publishAddresses = PublishLoopback + ", " + PublishIPv4 + ", " + PublishIPv6 + ", " + PublishAll
)

// publish is the field of an object that has no default.
type publish struct{ to **Publish }

func (f *publish) read(d *decoder, n node) {
	*f.to = &Publish{}
	d.complete(n, (*f.to).table())
}

func (f *publish) show(depth int) string {
	if *f.to == nil {
		return ""
	}
	return (*f.to).table().show(depth)
}

func (f *publish) manual() (kind, accepted string) { return "object", "" }

// RandomPort reports whether each start of the gateway gets another port.
func (g *Gateway) RandomPort() bool { return g.Port == 0 && g.PortEnv != "" }

// finishListen sets the gateway's port and checks the rules that join it with the
// published one. A random port and passed sockets need a published port, because clients
// could not find the gateway otherwise.
func (d *decoder) finishListen() {
	p, g := d.c.Publish, &d.c.Gateway
	given := d.at["gateway.listen.port"] != nil
	switch {
	case g.PassFD && p == nil:
		d.fail(d.where("gateway.listen.pass_fd"), "needs publish.port, whose sockets the gateway gets: add publish")
	case g.PassFD && (given || g.PortEnv != ""):
		d.fail(d.where("gateway.listen.pass_fd"), "excludes listen.port and listen.port_env, because the gateway gets its sockets: take those out")
	case g.PassFD && p != nil:
		g.Port = p.Port
	case g.PortEnv != "" && !given && p == nil:
		d.fail(d.where("gateway.listen.port_env"), "gives the gateway a random port, which no client finds: add publish, or listen.port")
	case g.PortEnv != "" && !given:
		g.Port = 0
	}
	if p != nil && !g.PassFD && g.Port == p.Port {
		d.fail(d.where("gateway.listen.port", "publish.port"), "%d is publish.port, which gateway-init holds: give another port, or listen.port_env", g.Port)
	}
	d.portOnce()
}

// portOnce refuses another source of the variable that gets the port.
func (d *decoder) portOnce() {
	g := &d.c.Gateway
	if g.PortEnv == "" {
		return
	}
	n := d.where("gateway.listen.port_env")
	set := slices.ContainsFunc(g.Env, func(kv string) bool { return strings.HasPrefix(kv, g.PortEnv+"=") })
	switch {
	case set:
		d.fail(d.where("gateway.env."+g.PortEnv), "gets the port by listen.port_env: take it out of env")
	case slices.Contains(g.PassEnv, g.PortEnv):
		d.fail(n, "%.64s stands in pass_env, too: take it out of there", g.PortEnv)
	case g.PortEnv == g.TokenEnv:
		d.fail(n, "%.64s is the token's variable", g.PortEnv)
	case isLoaderVariable(g.PortEnv):
		d.fail(n, "%.64s changes what a program loads or runs", g.PortEnv)
	}
}
