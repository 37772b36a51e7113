// SPDX-License-Identifier: Apache-2.0

package procfs

import (
	"errors"
	"os"
)

// Held is a process that is held open, and what it showed when it was opened. From
// then on no other process can be taken for it.
type Held struct {
	Snapshot
	*Handle
}

// Hold opens the process that has pid now. The caller must Close the Held.
func Hold(pid int) (*Held, error) {
	h, err := Open(pid)
	if err != nil {
		return nil, err
	}
	s, err := h.Snapshot()
	if err != nil {
		h.Close()
		return nil, err
	}
	return &Held{s, h}, nil
}

// Hold opens the process, and is Hold for a process that is known. The error is
// ErrReplaced if another process has its pid.
func (id ID) Hold() (*Held, error) {
	h, err := Hold(id.PID)
	if err == nil && h.ID() != id {
		h.Close()
		return nil, ErrReplaced
	}
	return h, err
}

// Verify returns nil if the process is alive and still what it was.
func (h *Held) Verify() error { return h.Handle.Verify(h.Snapshot) }

// Pidfd returns a pidfd of the process. The caller must Close the file.
func (h *Held) Pidfd() (*os.File, error) { return h.Handle.Pidfd(h.Snapshot) }

// IsReaped reports whether the process has ended and its parent knows it.
func (h *Held) IsReaped() bool {
	_, err := h.Handle.Snapshot()
	return errors.Is(err, ErrGone)
}
