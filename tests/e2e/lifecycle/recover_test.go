// SPDX-License-Identifier: Apache-2.0

package lifecycle

import (
	"testing"

	"github.com/gateway-init/gateway-init/tests/harness"
)

// A request that probed an unresponsive gateway while the health check replaced it was
// never answered, and every later one waited behind it.
func TestRecoverMeetsTheHealthCheck(t *testing.T) {
	t.Parallel()
	c := harness.Start(t, harness.Options{Config: quick(object{"health": object{"interval": "150ms", "timeout": "300ms"}})})
	for range 3 {
		old := c.WaitServing(serveBy)
		c.Misbehave(object{"deaf_after": "0s"})
		r := c.Ctl("recover", "--timeout", "20s")
		want(t, "recover", r, 0, "proven")
		c.WaitNewGateway(old.Gateway.Process, serveBy)
		want(t, "probe", c.Ctl("probe", "--timeout", "20s"), 0, "proven")
	}
}
