// SPDX-License-Identifier: Apache-2.0

package client

import (
	"fmt"
	"os"
	"sync"

	"github.com/creack/pty"

	"github.com/gateway-init/gateway-init/internal/fsafe"
	"github.com/gateway-init/gateway-init/internal/sys"
	"github.com/gateway-init/gateway-init/internal/users"
)

// openTerminal opens a new pseudo-terminal of the user. devpts gives a new one
// to the effective uid of the opening process, so this needs no CAP_CHOWN. It
// gets mode 0600, so that only the user may write to it; engines mount devpts
// with mode 0620 and group tty.
func openTerminal(u users.User) (master, slave *os.File, err error) {
	err = sys.AsFileOwner(u.UID, u.GID, func() error {
		opened, tty, err := pty.Open()
		if err != nil {
			return fmt.Errorf("cannot open a terminal: %w", err)
		}
		defer opened.Close()
		if master, err = sys.NonBlocking(opened); err == nil {
			slave, err = tty, fsafe.Chmod(tty, 0o600)
		}
		if err != nil {
			tty.Close()
		}
		return err
	})
	if err != nil && master != nil {
		master.Close()
	}
	return master, slave, err
}

// screen is the caller's terminal in raw mode.
type screen struct {
	file   *os.File
	before sys.Mode
	once   sync.Once
	err    error
}

func makeRaw(f *os.File) (*screen, error) {
	before, err := sys.MakeRaw(f)
	if err != nil {
		return nil, fmt.Errorf("cannot use the terminal: %w", err)
	}
	return &screen{file: f, before: before}, nil
}

// restore puts the terminal back, once, at the first call. It does nothing if s
// is nil.
func (s *screen) restore() error {
	if s == nil {
		return nil
	}
	s.once.Do(func() { s.err = sys.SetMode(s.file, s.before) })
	return s.err
}
