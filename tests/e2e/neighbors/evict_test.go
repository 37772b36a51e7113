// SPDX-License-Identifier: Apache-2.0

package neighbors

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/gateway-init/gateway-init/tests/harness"
)

// Scenario F19. Where the agent keeps a restart from happening, the refusal names the command
// that ends the agent's listener, and the command does so with the rights of docker exec.
//
// The hint said to end the process, and not how. An image without a shell has no program for
// it, and root in a container does not see which process has the port.
func TestRefusedRestartNamesTheWayOut(t *testing.T) {
	t.Parallel()
	addr := fmt.Sprintf("127.0.0.2:%d", harness.Port)
	for name, how := range map[string]struct{ hold, evict []string }{
		"visible": {nil, []string{"evict"}},
		"hidden":  {[]string{"-hide"}, []string{"evict", "--all"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := harness.Start(t, harness.Options{Command: []string{"demotools", "sleep", "3600"}})
			old := c.WaitServing(20 * time.Second)
			c.ExecDetached("sandbox", append(append([]string{"demotools", "hold-port"}, how.hold...), addr)...)
			harness.Eventually(t, 10*time.Second, "the agent's listener", func() error {
				if r := c.Exec("sandbox", "demotools", "connect", addr); r.Code != 0 {
					return fmt.Errorf("%v", r)
				}
				return nil
			})
			if r := c.Ctl("restart", "--rotate-token"); r.Code != 4 || !strings.Contains(r.Stderr, "listener-foreign") || !strings.Contains(r.Stderr, "gatewayctl evict") {
				t.Errorf("restart beside the agent's listener: %v", r)
			}
			if how.hold != nil {
				if r := c.Ctl("evict"); r.Code != 4 || !strings.Contains(r.Stderr, "gatewayctl evict --all") {
					t.Errorf("evict of a hidden listener: %v", r)
				}
			}
			// The variable has the engine run it, and not the harness in its place.
			r := c.ExecFlags([]string{"-e", "A=b"}, "", nil, append([]string{"gatewayctl"}, how.evict...)...)
			if r.Code != 0 || !strings.HasPrefix(r.Stdout, "ended pid ") {
				t.Fatalf("%v: %v", how.evict, r)
			}
			c.MustCtl("restart", "--rotate-token")
			c.WaitNewGateway(old.Gateway.Process, 20*time.Second)
			if r := c.Ctl("evict"); r.Code != 0 || !strings.HasPrefix(r.Stdout, "nothing to end: ") {
				t.Errorf("evict of a free port: %v", r)
			}
			if !c.Running() {
				t.Error("the command was ended, and the container with it")
			}
		})
	}
}
