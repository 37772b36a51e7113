// SPDX-License-Identifier: Apache-2.0

package launch

import (
	"errors"
	"io"
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/gateway-init/gateway-init/internal/sys"
	"github.com/gateway-init/gateway-init/internal/testenv"
)

// TestReexecChildGoesOnOnlyIfItIsHeld checks what the re-exec child of a confined target
// reads from its pipe, and that the launch says why PID 1 does not hold its directory.
func TestReexecChildGoesOnOnlyIfItIsHeld(t *testing.T) {
	for name, c := range map[string]struct {
		pid  int
		said string
	}{"held": {os.Getpid(), Ready}, "not-held": {1 << 30, ""}} {
		t.Run(name, func(t *testing.T) {
			h, err := newHolding(Spec{Confine: true})
			testenv.Must(t, err)
			r, err := sys.Duplicate(int(h.r.Fd()), "hold")
			testenv.Must(t, err)
			defer r.Close()
			p := &Proc{PID: c.pid, pidfd: -1, dir: -1}
			err = h.hold(p)
			h.close()
			if said, readErr := io.ReadAll(r); string(said) != c.said || readErr != nil {
				t.Errorf("it reads %q, %v", said, readErr)
			}
			if (err == nil) != (c.said != "") || (p.dir >= 0) != (c.said != "") {
				t.Errorf("got %v, descriptor %d", err, p.dir)
			}
			p.Close()
			if p.dir != -1 {
				t.Error("Close has left the directory open")
			}
			child := Child{holding: holding{err: err}}
			got := child.explain(&Failure{Step: StepConfine})
			if err != nil && !strings.Contains(got.Error(), "confine: cannot hold the files in /proc that the target may open: open /proc/1073741824: no such file") {
				t.Errorf("the launch says %v", got)
			}
		})
	}
}

// TestUnconfinedTargetNeedsNoPipe checks that no descriptor is made for other targets.
func TestUnconfinedTargetNeedsNoPipe(t *testing.T) {
	h, err := newHolding(Spec{})
	p := &Proc{PID: 1 << 30, dir: -1}
	if err != nil || h.r != nil || h.hold(p) != nil || p.dir != -1 {
		t.Errorf("got %+v, %v", h, err)
	}
	h.close()
	if !errors.Is((&Failure{StepConfine, syscall.EPERM}), syscall.EPERM) {
		t.Error("a failure of the step does not have its errno")
	}
}
