// SPDX-License-Identifier: Apache-2.0

package runtimedir

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/moby/sys/mountinfo"

	"github.com/gateway-init/gateway-init/internal/fsafe"
	"github.com/gateway-init/gateway-init/internal/sys"
)

// tighten closes a directory that others can write, if it is a mount of its own, ours and
// empty. So it takes an emptyDir of Kubernetes, whose mode is always 0777, and a tmpfs that
// was mounted without a mode (1777). Another user may write until the mode changes, and
// none after that, so it looks again then.
func (r rules) tighten(dir, parent *os.File) error {
	i, err := fsafe.Stat(dir)
	if err != nil {
		return err
	}
	p, err := fsafe.Stat(parent)
	if err != nil || i.UID != r.uid || i.Mode&0o022 == 0 || i.Dev == p.Dev {
		return err
	}
	empty, err := isEmpty(dir)
	if err != nil || !empty {
		return err
	}
	if err := fsafe.Chmod(dir, mode); err != nil {
		return err
	}
	if empty, err = isEmpty(dir); err == nil && !empty {
		err = &fsafe.UnsafeError{UnsafePath: dir.Name(), Problem: "was written by others while it was open to them: empty it"}
	}
	return err
}

// isEmpty reports whether a directory has no entry.
func isEmpty(dir *os.File) (bool, error) {
	f, err := fsafe.Again(dir) // it reads from the start
	if err != nil {
		return false, err
	}
	defer f.Close()
	_, err = f.Readdirnames(1)
	if errors.Is(err, io.EOF) {
		return true, nil
	}
	return false, err
}

// mountOf returns the mount that unsafePath lies on, which has the longest mount
// point that is a prefix of it. Of two mounts at one place the later one covers the
// other.
func mountOf(unsafePath string) (*mountinfo.Info, error) {
	mounts, err := sys.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return nil, fmt.Errorf("cannot read mounts: %w", err)
	}
	var best *mountinfo.Info
	_, err = mountinfo.GetMountsFromReader(bytes.NewReader(mounts), func(m *mountinfo.Info) (skip, stop bool) {
		root := strings.TrimSuffix(m.Mountpoint, "/")
		if (unsafePath == m.Mountpoint || strings.HasPrefix(unsafePath, root+"/")) &&
			(best == nil || len(m.Mountpoint) >= len(best.Mountpoint)) {
			c := *m
			best = &c
		}
		return true, false
	})
	if err != nil {
		return nil, fmt.Errorf("cannot read mounts: %w", err)
	}
	if best == nil {
		return nil, fmt.Errorf("cannot find the mount of %s", unsafePath)
	}
	return best, nil
}
