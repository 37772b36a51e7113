// SPDX-License-Identifier: Apache-2.0

package tokenfile

import (
	"errors"
	"os"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/gateway-init/gateway-init/internal/testenv"
)

// TestFull checks that without space for a new token only the old one is there.
func TestFull(t *testing.T) {
	dir := testenv.Tmpfs(t, "size=4k")
	filler := testenv.Path(dir, "filler")
	testenv.Must(t, os.WriteFile(filler, make([]byte, 4096), 0o600))
	if s, err := Mint(dir, fileName, policy); s != nil || !errors.Is(err, unix.ENOSPC) {
		t.Errorf("mint: got %v %v, want %v", s, err, unix.ENOSPC)
	}
	if all := names(t, dir); len(all) != 1 {
		t.Errorf("mint left %v", all)
	}
	testenv.Must(t, os.Remove(filler))
	old, err := Mint(dir, fileName, policy)
	testenv.Must(t, err)
	for name, do := range map[string]func(*os.File, string, Policy) (*Secret, error){"prepare": prepareRotation, "rotate": rotate} {
		if s, err := do(dir, fileName, policy); s != nil || !errors.Is(err, unix.ENOSPC) {
			t.Errorf("%s: got %v %v, want %v", name, s, err, unix.ENOSPC)
		}
		holds(t, dir, old)
	}
}

// TestSystemCallFails checks that no token is left, and none returned, whichever step
// fails.
func TestSystemCallFails(t *testing.T) {
	for name, c := range map[string]struct {
		call  uint32
		errno unix.Errno
		want  error
	}{
		"no-random":    {unix.SYS_GETRANDOM, unix.EIO, unix.EIO},
		"no-statfs":    {unix.SYS_FSTATFS, unix.EPERM, unix.EPERM},
		"no-chmod":     {unix.SYS_FCHMOD, unix.EPERM, unix.EPERM},
		"no-chown":     {unix.SYS_FCHOWN, unix.EPERM, unix.EPERM},
		"chown-lies":   {unix.SYS_FCHOWN, 0, ErrUnsafe}, // it succeeds without effect
		"no-noreplace": {unix.SYS_RENAMEAT2, unix.EIO, unix.EIO},
	} {
		t.Run(name, func(t *testing.T) {
			if !testenv.Inside(t, 0) {
				return
			}
			dir := testenv.Tmpfs(t)
			testenv.Refuse(t, c.errno, c.call)
			s, err := Mint(dir, fileName, policy)
			if s != nil || !errors.Is(err, c.want) {
				t.Errorf("got %v %v, want %v", s, err, c.want)
			}
			if all := names(t, dir); len(all) != 0 {
				t.Errorf("left %v", all)
			}
		})
	}
}

// TestReadFails checks that an error of the kernel gives no token.
func TestReadFails(t *testing.T) {
	for name, c := range map[string]struct {
		call uint32
		want error
	}{
		"no-statfs": {unix.SYS_FSTATFS, unix.EIO},
		"no-pread":  {unix.SYS_PREAD64, ErrUnreadable},
		"no-open":   {unix.SYS_OPENAT, ErrUnsafe},
	} {
		t.Run(name, func(t *testing.T) {
			if !testenv.Inside(t, 0) {
				return
			}
			dir, _ := minted(t)
			testenv.Refuse(t, unix.EIO, c.call)
			if s, err := Read(dir, fileName, policy); s != nil || !errors.Is(err, c.want) {
				t.Errorf("got %v %v, want %v", s, err, c.want)
			}
		})
	}
}
