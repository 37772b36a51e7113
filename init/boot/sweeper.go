// SPDX-License-Identifier: Apache-2.0

package boot

import (
	"github.com/gateway-init/gateway-init/supervisor"
	"github.com/gateway-init/gateway-init/supervisor/sweep"
)

// sweepByUID gives the supervisor a sweeper by uid, for a container that runs as root.
// shared means that the PID namespace is not our own.
func (b *bootstrap) sweepByUID(c *supervisor.Config, shared bool, signals *supervisor.Signals) {
	sweeper := sweep.NewByUID(b.users.gateway.UID, shared)
	signals.OnShared = func() {
		b.log.Warn().Str("event", evSharedNamespace).Msg("another gateway-init shares our PID namespace: sweeping by descent")
		sweeper.Share()
	}
	sweeper.OnForeign = func(uid uint32) {
		b.log.Warn().Str("event", evSharedNamespace).Uint32("uid", uid).Msg("another container has processes of our uid in our PID namespace: sweeping by descent while they are there")
	}
	c.Sweeper = sweeper
	agent := sweep.Account{UID: b.users.sandbox.UID, GID: b.users.sandbox.GID}
	if b.cfg.SandboxEvict {
		c.Evict = func(n int, spare func(pid int) bool) (int, error) {
			return sweeper.Evict(agent.UID, n, spare)
		}
	}
	if b.cfg.SandboxEvictPort {
		c.FreePort = func(port uint16, spare func(pid int) bool, all bool) ([]int, bool, error) {
			return sweeper.FreePort(agent, port, spare, all)
		}
	}
}
