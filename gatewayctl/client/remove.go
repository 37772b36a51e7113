// SPDX-License-Identifier: Apache-2.0

package client

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/gateway-init/gateway-init/internal/fsafe"
	"github.com/gateway-init/gateway-init/internal/sys"
)

// close removes a temporary home. The client and all it started have ended.
func (h *home) close() error {
	if h.parent == nil {
		return nil
	}
	defer h.parent.Close()
	defer h.dir.Close()
	err := sys.AsFileOwner(h.user.UID, h.user.GID, func() error {
		budget := maxRemoved
		if err := removeContents(h.dir, maxDepth, &budget); err != nil {
			return err
		}
		held, err := fsafe.Stat(h.dir)
		if err != nil {
			return err
		}
		named, err := fsafe.StatAt(h.parent, h.name)
		if err == nil && !named.Same(held) {
			err = &fsafe.UnsafeError{UnsafePath: h.path, Problem: "is another directory now"}
		}
		if err != nil {
			return err
		}
		return fsafe.RemoveDir(h.parent, h.name)
	})
	if err != nil {
		return fmt.Errorf("cannot remove the temporary home %s: %w", h.path, err)
	}
	return nil
}

// Bounds of a removal; more than that is left behind, on tmpfs.
const (
	maxDepth   = 64
	maxRemoved = 1 << 20
)

// errTooMuch means that a client made more than these bounds; the rest has to be
// cleaned up later.
var errTooMuch = errors.New("it holds too much")

// removeContents removes all that is in dir. It follows no link.
func removeContents(dir *os.File, depth int, budget *int) error {
	names, err := dir.Readdirnames(-1)
	if err != nil {
		return err
	}
	for _, name := range names {
		if *budget--; *budget < 0 || depth == 0 {
			return errTooMuch
		}
		info, err := fsafe.StatAt(dir, name)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			continue
		case err != nil:
			return err
		case info.Type != fsafe.Directory:
			err = fsafe.Remove(dir, name)
		default:
			err = removeContentsBelow(dir, name, depth, budget)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func removeContentsBelow(dir *os.File, name string, depth int, budget *int) error {
	below, err := fsafe.OpenDirAt(dir, name)
	if err != nil {
		return err
	}
	defer below.Close()
	if err := removeContents(below, depth-1, budget); err != nil {
		return err
	}
	return fsafe.RemoveDir(dir, name)
}
