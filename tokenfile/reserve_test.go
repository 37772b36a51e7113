// SPDX-License-Identifier: Apache-2.0

package tokenfile

import (
	"crypto/sha256"
	"errors"
	"os"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/gateway-init/gateway-init/internal/fsafe"
	"github.com/gateway-init/gateway-init/internal/testenv"
)

// fill writes until the file system is full, and returns the path of its file.
func fill(t *testing.T, dir *os.File) string {
	t.Helper()
	path := testenv.Path(dir, "filler")
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	testenv.Must(t, err)
	defer f.Close()
	for err == nil {
		_, err = f.Write(make([]byte, 4096))
	}
	if !errors.Is(err, unix.ENOSPC) {
		t.Fatal(err)
	}
	return path
}

// rotated fails the test unless a rotation works, and leaves a token of the usual kind.
func rotated(t *testing.T, dir *os.File, s *Store) {
	t.Helper()
	old := content(t, dir)
	testenv.Must(t, s.Prepare())
	if content(t, dir) != old {
		t.Error("a prepared token is in force")
	}
	testenv.Must(t, s.Commit())
	now := content(t, dir)
	if now == old || s.Sum() != sha256.Sum256([]byte(now)) || !opens(t, s, now) {
		t.Error("the digest is not that of the committed token")
	}
	if st := s.Status(); st.UID != 0 || st.GID != 0 || st.Mode != "0400" {
		t.Errorf("status %+v", st)
	}
}

// TestRotationOnAFullFileSystem checks that the reserve lets a rotation succeed, and the
// next one, if no other process takes the space of the former token. Without a reserve
// the old token stays in force.
func TestRotationOnAFullFileSystem(t *testing.T) {
	dir := testenv.Tmpfs(t, "size=32k")
	s := newStore(t, dir)
	filler := fill(t, dir)
	rotated(t, dir, s)
	rotated(t, dir, s)
	testenv.Must(t, s.Prepare())
	testenv.Must(t, s.Abort())
	rotated(t, dir, s)

	testenv.Must(t, s.Prepare()) // uses the reserve
	testenv.Must(t, os.Remove(testenv.Path(dir, Name)))
	fill(t, dir) // another process takes the space
	testenv.Must(t, s.Commit())
	old := content(t, dir)
	if err := s.Prepare(); !errors.Is(err, unix.ENOSPC) || content(t, dir) != old {
		t.Errorf("without a reserve: %v", err)
	}
	testenv.Must(t, os.Remove(filler))
	rotated(t, dir, s)
	fill(t, dir)
	rotated(t, dir, s) // the reserve is there again
}

// TestReserveIsVerified checks that a rotation follows no link, and writes no file that
// another name has.
func TestReserveIsVerified(t *testing.T) {
	for name, plant := range map[string]func(victim, reserve string) error{"link": os.Symlink, "hard-link": os.Link} {
		t.Run(name, func(t *testing.T) {
			dir := testenv.Tmpfs(t, "size=32k")
			s := newStore(t, dir)
			victim, reserve := testenv.Path(dir, "victim"), testenv.Path(dir, Name+fsafe.ReserveSuffix)
			testenv.Must(t, errors.Join(os.WriteFile(victim, []byte("victim"), 0o600), os.Remove(reserve), plant(victim, reserve)))
			fill(t, dir)
			old := content(t, dir)
			if err := s.Prepare(); !errors.Is(err, unix.ENOSPC) || content(t, dir) != old {
				t.Errorf("got %v", err)
			}
			if data, err := os.ReadFile(victim); err != nil || string(data) != "victim" {
				t.Errorf("the victim has %q, %v", data, err)
			}
		})
	}
}
