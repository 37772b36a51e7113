// SPDX-License-Identifier: Apache-2.0

package launch

import (
	"fmt"
	"os"

	"github.com/gateway-init/gateway-init/internal/confine"
	"github.com/gateway-init/gateway-init/internal/sys"
)

// holding lets the re-exec child of a confined target wait until PID 1 has opened the
// child's directory in /proc. The child's rule names the inode of that directory, which
// the kernel would forget otherwise (package confine).
type holding struct {
	r, w *os.File // nil if the target is not confined
	err  error    // why PID 1 does not hold the directory
}

// newHolding returns the pipe on which the re-exec child waits, if it has to.
func newHolding(s Spec) (h holding, err error) {
	if s.Confine {
		h.r, h.w, err = os.Pipe()
	}
	return h, err
}

// hold opens the directory of pid for p, and tells the re-exec child to go on. The pid
// belongs to the child, because only the caller can reap it. If the directory cannot be
// opened, the re-exec child sees the end of the pipe, and does not execute its target.
func (h holding) hold(p *Proc) (err error) {
	if h.w == nil {
		return nil
	}
	if p.dir, err = confine.HoldProcess(p.PID); err != nil {
		return fmt.Errorf("cannot hold the files in /proc that the target may open: %w", err)
	}
	_, err = h.w.WriteString(Ready) // the pipe is empty, so this does not wait
	return err
}

func (h holding) close() {
	if h.w != nil {
		h.r.Close()
		h.w.Close()
	}
}

// release closes the directory that hold opened.
func (p *Proc) release() {
	if p.dir >= 0 {
		sys.Close(p.dir)
		p.dir = -1
	}
}
