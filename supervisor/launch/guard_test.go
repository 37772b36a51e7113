// SPDX-License-Identifier: Apache-2.0

package launch_test

import (
	"os/exec"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/gateway-init/gateway-init/internal/testenv"
	"github.com/gateway-init/gateway-init/supervisor/launch"
)

// garbage keeps the collector busy.
var garbage []byte

// TestForkComesBack checks that a fork returns although a process of the target's UID
// stops all that it may, over and over. A SIGSTOP between setuid and exec once held
// up the fork, and PID 1 with it.
func TestForkComesBack(t *testing.T) {
	if !testenv.Inside(t, unix.CLONE_NEWPID) {
		return
	}
	attacker := exec.Command("/bin/sh", "-c", "while :; do kill -STOP -1 2>/dev/null; done")
	attacker.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: gateway, Gid: gateway}, Setsid: true}
	testenv.Must(t, attacker.Start())
	t.Cleanup(func() { attacker.Process.Kill(); attacker.Wait() })
	c := program(t, "true")
	done := make(chan error)
	go func() {
		for range 100 {
			for range 160 { // beyond the memory limit, so that a collection begins and the fork must wait for it
				garbage = make([]byte, 64<<10)
			}
			p, err := launch.Start(c.Child, func(int, string, error) {})
			if err == nil {
				p.Signal(syscall.SIGKILL)
				_, err = syscall.Wait4(p.PID, nil, 0, nil)
				p.Close()
			}
			done <- err
		}
		close(done)
	}()
	for n := 0; ; n++ {
		limit := time.NewTimer(20 * time.Second)
		select {
		case err, more := <-done:
			if limit.Stop(); !more {
				return
			}
			testenv.Must(t, err)
		case <-limit.C:
			t.Fatalf("start %d does not come back", n)
		}
	}
}
