// SPDX-License-Identifier: Apache-2.0

//go:build long

package openclaw

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/gateway-init/gateway-init/internal/status"
	"github.com/gateway-init/gateway-init/tests/harness"
)

// TestDisplacedNode checks that the tools detect a newer connection of their node's
// identity, exit, and are started again. The gateway sends commands to the newest
// connection alone. It leaves the older one open, even after the newer one has
// ended.
func TestDisplacedNode(t *testing.T) {
	c := shared(t)
	waitTools(t, c)
	tools := func(v harness.View) status.Child {
		for _, s := range v.Record.Sidecars {
			if s.Name == "tools" {
				return s
			}
		}
		t.Fatalf("no tools: %+v", v.Record.Sidecars)
		return status.Child{}
	}
	before := tools(c.View())
	const home = "/tmp/displacer"
	if r := c.Exec("sandbox", "sh", "-c", "rm -rf "+home+" && mkdir "+home+" && cp -r /sandbox/.openclaw "+home); r.Code != 0 {
		t.Fatalf("cannot copy the node's state: %v", r)
	}
	c.ExecDetached("sandbox", "env", "HOME="+home, "timeout", "300", "openclaw", "node", "run", "--host", "127.0.0.1", "--port", "18789", "--display-name", "sandbox",
		"--commands", "system.run,system.run.prepare,system.which")
	var displaced time.Time
	c.WaitStatus(paired, "the tools to be started again", func(v harness.View) error {
		now := tools(v)
		if now.State != "running" || now.PID == before.PID || now.Restarts != before.Restarts+1 {
			return fmt.Errorf("%+v", now)
		}
		displaced = time.Now()
		return nil
	})
	if log := c.Logs(); !strings.Contains(log, "is newer than the node's") || !strings.Contains(log, "ended with exit code 75") {
		t.Error("the log does not say why the tools were started again")
	}
	// The displacer still runs, and is no longer the newest.
	harness.Eventually(t, paired, "exec to work again", func() error {
		if r := turn(t, c, shell("echo $HOME")); !strings.Contains(r[0], "/sandbox") {
			return errors.New(r[0])
		}
		return nil
	})
	t.Logf("exec works %.1f s after the tools were started again", time.Since(displaced).Seconds())
	c.Exec("sandbox", "sh", "-c", "for p in /proc/[0-9]*; do if tr '\\0' ' ' <$p/cmdline | grep -q '^timeout 300 openclaw'; then kill ${p#/proc/}; fi; done")
}
