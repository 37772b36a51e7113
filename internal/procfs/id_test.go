// SPDX-License-Identifier: Apache-2.0

package procfs

import (
	"errors"
	"os"
	"os/exec"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/gateway-init/gateway-init/internal/testenv"
)

// TestVerify checks that a zombie, a dead process and a recycled pid are each told
// apart from the process that was meant.
func TestVerify(t *testing.T) {
	cmd := exec.Command("/proc/self/exe", "-test.run=^$")
	in, out, err := os.Pipe()
	testenv.Must(t, err)
	defer in.Close()
	cmd.Stdout = out
	testenv.Must(t, cmd.Start())
	p, err := Identify(cmd.Process.Pid)
	testenv.Must(t, err)
	out.Close()
	testenv.Eventually(t, "a zombie", func() bool {
		st, err := ReadStat(p.PID)
		return err == nil && st.State == 'Z'
	})
	if err := p.Verify(); !errors.Is(err, ErrGone) {
		t.Errorf("zombie: %v", err)
	}
	testenv.Must(t, p.VerifyExists())
	cmd.Wait()
	for _, err := range []error{p.Verify(), p.VerifyExists(), p.Signal(unix.SIGTERM)} {
		if !errors.Is(err, ErrGone) {
			t.Errorf("reaped: %v", err)
		}
	}
	if _, err := Identify(p.PID); !errors.Is(err, ErrGone) {
		t.Errorf("capture of a dead one: %v", err)
	}
	self, err := Identify(os.Getpid())
	testenv.Must(t, err)
	testenv.Must(t, self.Verify())
	self.Start++
	for _, err := range []error{self.Verify(), self.VerifyExists(), self.Signal(unix.SIGKILL)} {
		if !errors.Is(err, ErrReplaced) {
			t.Errorf("recycled: %v", err)
		}
	}
	if fd, err := self.Pidfd(); fd != nil || !errors.Is(err, ErrReplaced) {
		t.Errorf("a pidfd of another one: %v, %v", fd, err)
	}
}
