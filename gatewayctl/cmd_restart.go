// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"flag"
	"fmt"
	"time"

	"github.com/gateway-init/gateway-init/supervisor/control"
)

func cmdRestart() verb {
	return verb{
		name: "restart", args: "[--rotate-token [--revoke-devices]] [--drain D] [--timeout D]",
		summary: "replace the gateway by a new one, and wait until it is proven",
		help: `A stopped gateway is started. If the request cannot succeed, it is refused
before the old gateway is stopped.

  --rotate-token     mint a new token; the old one ends with the old gateway
  --revoke-devices   then run the client revoke-devices of the configuration with
                     the new token, so that old pairings end
  --drain D          give the old gateway this long to end by itself, in whole
                     seconds, instead of stop.grace; its sidecars stay meanwhile
  --timeout D        wait at most this long for the gateway (default 120s, plus
                     the drain)

Exit code: 0 restarted and proven, 1 failed, 3 refused, 4 not serving,
5 no supervisor, 6 the deadline passed (the request stays queued). If the
gateway was restarted and the devices were not revoked: 1.
`,
		setup: func(f *flag.FlagSet) func(*app, []string) int {
			rotate := f.Bool("rotate-token", false, "")
			revoke := f.Bool("revoke-devices", false, "")
			drain := durationFlag(f, "drain", 0)
			timeout := timeoutFlag(f, restartTimeout)
			return func(a *app, _ []string) int {
				r := control.Request{Action: control.Restart, Rotate: *rotate}
				if *revoke && !*rotate {
					return a.usage(errors.New("--revoke-devices needs --rotate-token: a process that has the old token could pair again"), "restart")
				}
				if isGiven(f, "drain") {
					if err := checkDrain(*drain); err != nil {
						return a.usage(err, "restart")
					}
					r.Drain = int(*drain / time.Second)
				}
				if !isGiven(f, "timeout") {
					*timeout += *drain
				} else if *timeout > 0 && *drain >= *timeout {
					return a.usage(fmt.Errorf("--drain %v does not fit into --timeout %v", *drain, *timeout), "restart")
				}
				if *revoke {
					return a.revokeDevices(func() int { return a.ask(r, *timeout) })
				}
				return a.ask(r, *timeout)
			}
		},
	}
}

// revokeClient is the client that revokes the credentials that a gateway has
// given out for its token. Only its vendor's program knows them.
const revokeClient = "revoke-devices"

// revokeDevices rotates the token, then runs the client with the new one. Any
// reason to refuse the client is found before the old gateway is stopped.
func (a *app) revokeDevices(rotate func() int) int {
	s := clientSpec{verb: "restart --revoke-devices", name: revokeClient, mute: true}
	if err := a.separated(); err != nil {
		return a.refused(s.verb, err)
	}
	p, who, err := a.plan(s)
	if v := a.look(); err == nil && v.Record != nil {
		err = mayHaveToken(v.Record, who)
	}
	if err != nil {
		return a.refused(s.verb, err)
	}
	if code := rotate(); code != exitOK {
		return code
	}
	g, err := a.local.Guard(a.warnOfToken)
	if err == nil {
		defer g.Close()
		var code int
		if code, err = a.runWithToken(s, p, g, who); err == nil && code != exitOK {
			err = fmt.Errorf("client %s ended with %d", revokeClient, code)
		}
	}
	if err != nil {
		return a.fail(exitFailed, fmt.Errorf("the token was rotated, but credentials that the old one had bought may still work: %w", err),
			"gatewayctl exec --client "+revokeClient)
	}
	return exitOK
}

func checkDrain(d time.Duration) error {
	switch {
	case d%time.Second != 0:
		return errors.New("--drain must be whole seconds")
	case d <= 0 || d > control.MaxDrain*time.Second:
		return fmt.Errorf("--drain must be 1s to %v", control.MaxDrain*time.Second)
	}
	return nil
}
