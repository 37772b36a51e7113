// SPDX-License-Identifier: Apache-2.0

package token

import (
	"errors"
	"os"
	"testing"
	"time"

	"github.com/gateway-init/gateway-init/tests/harness"
)

// Scenario T01. No process of the agent's user can read the token, a part of
// 16 characters, or its base64, in any file, environment, command line, log,
// core or backup.
//
// The agent read the token from a file, a process list, a log or a core file. A process
// with the token controls the gateway, which controls the agent.
func TestAgentNeverReadsTheToken(t *testing.T) {
	for name, flags := range map[string][]string{"readme": nil, "plain": {}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := harness.Start(t, harness.Options{Flags: flags, Extra: []string{"--ulimit", "core=-1"}})
			c.WaitServing(30 * time.Second)
			tokens := []string{c.Token()}
			look := func(when string) {
				t.Helper()
				c.NoToken(when, tokens...)
				// The gateway's own directory, where its core file would be.
				harness.NoTokenBelow(t, when, c.StateDir(), tokens...)
			}
			look("after the first start")
			c.MustCtl("restart")
			c.MustCtl("restart", "--rotate-token")
			tokens = append(tokens, c.Token())
			if tokens[0] == tokens[1] {
				t.Fatal("the rotation kept the token")
			}
			look("after a rotation")
			// The crash asks for a core file, but the kernel writes none.
			old := c.Status().Gateway.Process
			crash(t, c.GatewayHostPID())
			c.WaitNewGateway(old, 30*time.Second)
			look("after a crash")
			c.MustCtl("stop")
			look("when stopped")
		})
	}
}

func crash(t *testing.T, hostPID int) {
	t.Helper()
	p, err := os.FindProcess(hostPID)
	if err != nil {
		t.Fatal(err)
	}
	for i, sig := range quits { // the first one may end it at once
		if err := p.Signal(sig); err != nil && !(i > 0 && errors.Is(err, os.ErrProcessDone)) {
			t.Fatal(err)
		}
	}
}
