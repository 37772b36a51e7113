// SPDX-License-Identifier: Apache-2.0

package faults

import (
	"errors"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/gateway-init/gateway-init/internal/testenv"
	"github.com/gateway-init/gateway-init/tests/harness"
	"github.com/gateway-init/gateway-init/tests/ns/box"
)

// TestRestartIsRefusedIfTheNextLaunchWouldFail checks that a restart leaves the gateway
// alone if a directory of prepare cannot be made, or the working directory has gone. The
// agent can make the first happen in /tmp, when something has removed the directory there.
func TestRestartIsRefusedIfTheNextLaunchWouldFail(t *testing.T) {
	b := box.Start(t, box.Options{
		Config: map[string]any{"gateway": map[string]any{"working_dir": "/srv/work"}, "command_start": "immediate"},
		Plant:  []box.Entry{{Path: "/srv/work", Type: unix.S_IFDIR, Mode: 0o755}},
	})
	before := b.WaitServing(20 * time.Second)
	inside := func(f func() error) {
		var err error
		harness.OwnThread(func() {
			if err = harness.JoinNamespaces(b.PID); err == nil {
				err = f()
			}
		})
		testenv.Must(t, err)
	}
	const made = "/tmp/demo-gateway"
	for name, c := range map[string]struct {
		spoil, repair func() error
		want, log     string
	}{
		"prepare": {
			func() error {
				return errors.Join(syscall.Rmdir(made), syscall.Mknod(made, syscall.S_IFREG|0o644, 0), syscall.Chown(made, box.SandboxUID, box.SandboxUID))
			},
			func() error { return syscall.Unlink(made) }, "prepare-failed", made},
		"working-dir": {
			func() error { return syscall.Rename("/srv/work", "/srv/away") },
			func() error { return syscall.Rename("/srv/away", "/srv/work") }, "launch-failed", "/srv/work"},
	} {
		inside(c.spoil)
		r := b.Ctl("restart")
		if r.Code == 0 || !strings.Contains(r.Stderr, c.want) {
			t.Errorf("%s: restart ended with %d: %s", name, r.Code, r.Stderr)
		}
		if after := b.WaitServing(20 * time.Second); after.Gateway.PID != before.Gateway.PID {
			t.Errorf("%s: pid %d, before %d", name, after.Gateway.PID, before.Gateway.PID)
			before = after
		}
		testenv.Eventually(t, "the line about "+c.want, func() bool { // the log comes after the answer
			_, line, _ := strings.Cut(b.Log(), `"event":"refused","reason":"`+c.want)
			return strings.Contains(line, c.log)
		})
		inside(c.repair)
	}
	b.MustCtl("restart")
}
