// SPDX-License-Identifier: Apache-2.0

package tokenfile

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/gateway-init/gateway-init/internal/fsafe"
	"github.com/gateway-init/gateway-init/internal/testenv"
)

var policy = Policy{UID: testenv.Gateway, GID: testenv.Gateway + 1, RequireTmpfs: true}

const fileName = "token"

// minted mounts a tmpfs with a token on it.
func minted(t *testing.T) (*os.File, *Secret) {
	t.Helper()
	dir := testenv.Tmpfs(t)
	s, err := Mint(dir, fileName, policy)
	testenv.Must(t, err)
	return dir, s
}

func names(t *testing.T, dir *os.File) []string {
	t.Helper()
	entries, err := os.ReadDir(testenv.Path(dir, ""))
	testenv.Must(t, err)
	var out []string
	for _, e := range entries {
		out = append(out, e.Name())
	}
	return out
}

// holds fails the test unless the file is there, is s, and is alone.
func holds(t *testing.T, dir *os.File, s *Secret) {
	t.Helper()
	got, err := Read(dir, fileName, policy)
	testenv.Must(t, err)
	if !bytes.Equal(got.Bytes(), s.Bytes()) || got.Sum() != s.Sum() {
		t.Error("the file holds another token")
	}
	if all := names(t, dir); !slices.Equal(all, []string{fileName}) {
		t.Errorf("the directory holds %v", all)
	}
}

func TestMint(t *testing.T) {
	dir, s := minted(t)
	holds(t, dir, s)
	if !wellFormed(s.Bytes()) {
		t.Error("not 64 lower-case hex digits")
	}
	i, err := fsafe.StatAt(dir, fileName)
	testenv.Must(t, err)
	if i.UID != policy.UID || i.GID != policy.GID || i.Mode != 0o400 || i.Links != 1 || i.Size != Len {
		t.Errorf("installed as %+v", i)
	}
	_, other := minted(t)
	if bytes.Equal(other.Bytes(), s.Bytes()) {
		t.Error("two tokens are the same")
	}
}

// entries are the files that an attacker could put in the place of a token file.
var entries = map[string]func(path string) error{
	"file":       func(p string) error { return os.WriteFile(p, []byte(strings.Repeat("a", Len)), 0o400) },
	"empty-file": func(p string) error { return os.WriteFile(p, nil, 0o400) },
	"directory":  func(p string) error { return os.Mkdir(p, 0o700) },
	"link":       func(p string) error { return os.Symlink("/etc/passwd", p) },
	"dangling":   func(p string) error { return os.Symlink("nowhere", p) },
	"fifo":       func(p string) error { return unix.Mkfifo(p, 0o400) },
	"socket":     func(p string) error { return unix.Mknod(p, unix.S_IFSOCK|0o400, 0) },
	"hard-link": func(p string) error {
		return errors.Join(os.WriteFile(p+"-twin", []byte(strings.Repeat("a", Len)), 0o400), os.Link(p+"-twin", p))
	},
}

// TestMintNeverReplaces checks that an entry under the name, of any type, stays, and
// that no token is left beside it.
func TestMintNeverReplaces(t *testing.T) {
	for name, plant := range entries {
		t.Run(name, func(t *testing.T) {
			dir := testenv.Tmpfs(t)
			path := testenv.Path(dir, fileName)
			testenv.Must(t, plant(path))
			before, err := os.Lstat(path)
			testenv.Must(t, err)
			s, err := Mint(dir, fileName, policy)
			if s != nil || !errors.Is(err, errExist) {
				t.Fatalf("got %v %v, want %v", s, err, errExist)
			}
			after, err := os.Lstat(path)
			if err != nil || !os.SameFile(before, after) {
				t.Errorf("the entry is gone: %v", err)
			}
			if all := names(t, dir); slices.Contains(all, fileName+fsafe.NewSuffix) {
				t.Errorf("left %v", all)
			}
		})
	}
}

// TestPrepareOverLeftover checks that a killed writer's file is removed. Any other
// entry under that name is refused and left alone.
func TestPrepareOverLeftover(t *testing.T) {
	for name, plant := range entries {
		t.Run(name, func(t *testing.T) {
			dir, old := minted(t)
			testenv.Must(t, plant(testenv.Path(dir, fileName+fsafe.NewSuffix)))
			s, err := prepareRotation(dir, fileName, policy)
			if regular := strings.HasSuffix(name, "file"); regular {
				testenv.Must(t, errors.Join(err, commitRotation(dir, fileName, policy)))
				holds(t, dir, s)
				return
			}
			if s != nil || !errors.Is(err, fsafe.ErrUnsafe) {
				t.Errorf("got %v %v, want a refusal", s, err)
			}
			if got, err := Read(dir, fileName, policy); err != nil || !bytes.Equal(got.Bytes(), old.Bytes()) {
				t.Errorf("the old token: %v", err)
			}
		})
	}
}

// TestRotation checks that the old token stands until Commit, and then the new one.
func TestRotation(t *testing.T) {
	dir, old := minted(t)
	next, err := prepareRotation(dir, fileName, policy)
	testenv.Must(t, err)
	if got, err := Read(dir, fileName, policy); err != nil || !bytes.Equal(got.Bytes(), old.Bytes()) || bytes.Equal(next.Bytes(), old.Bytes()) {
		t.Errorf("prepared: the old token does not stand: %v", err)
	}
	testenv.Must(t, commitRotation(dir, fileName, policy))
	holds(t, dir, next)

	_, err = prepareRotation(dir, fileName, policy)
	testenv.Must(t, errors.Join(err, abortRotation(dir, fileName), abortRotation(dir, fileName))) // a second call does no harm
	holds(t, dir, next)

	last, err := rotate(dir, fileName, policy)
	testenv.Must(t, err)
	holds(t, dir, last)
	if bytes.Equal(last.Bytes(), next.Bytes()) {
		t.Error("rotated to the same token")
	}
	testenv.Must(t, errors.Join(remove(dir, fileName), remove(dir, fileName), abortRotation(dir, fileName)))
	if all := names(t, dir); len(all) != 0 {
		t.Errorf("removed, and there is %v", all)
	}
	first, err := rotate(dir, fileName, policy) // there was none
	testenv.Must(t, err)
	holds(t, dir, first)
}

// TestCommitLooksFirst checks that an entry that came under either name since Prepare
// is refused and stays.
func TestCommitLooksFirst(t *testing.T) {
	for name, plant := range entries {
		for _, which := range []string{fileName, fileName + fsafe.NewSuffix} {
			t.Run(fmt.Sprintf("%s-as-%s", name, which), func(t *testing.T) {
				dir, _ := minted(t)
				_, err := prepareRotation(dir, fileName, policy)
				testenv.Must(t, err)
				testenv.Must(t, os.Remove(testenv.Path(dir, which)))
				testenv.Must(t, plant(testenv.Path(dir, which)))
				before := names(t, dir)
				if err := commitRotation(dir, fileName, policy); !errors.Is(err, ErrUnsafe) || !errors.Is(err, fsafe.ErrUnsafe) {
					t.Errorf("got %v, want %v", err, ErrUnsafe)
				}
				if after := names(t, dir); !slices.Equal(before, after) {
					t.Errorf("from %v to %v", before, after)
				}
			})
		}
	}
	dir, old := minted(t)
	if err := commitRotation(dir, fileName, policy); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("nothing prepared: %v", err)
	}
	holds(t, dir, old)
}

// TestRotateRefused checks that a rotation that cannot end leaves nothing of its own.
func TestRotateRefused(t *testing.T) {
	dir := testenv.Tmpfs(t)
	testenv.Must(t, os.Symlink("/etc/passwd", testenv.Path(dir, fileName)))
	if s, err := rotate(dir, fileName, policy); s != nil || !errors.Is(err, ErrUnsafe) {
		t.Errorf("got %v %v, want %v", s, err, ErrUnsafe)
	}
	if all := names(t, dir); !slices.Equal(all, []string{fileName}) {
		t.Errorf("left %v", all)
	}
}

// TestAbortLeavesOthers checks that only a regular file is removed as a token.
func TestAbortLeavesOthers(t *testing.T) {
	for name, plant := range entries {
		t.Run(name, func(t *testing.T) {
			dir := testenv.Tmpfs(t)
			testenv.Must(t, plant(testenv.Path(dir, fileName+fsafe.NewSuffix)))
			err := abortRotation(dir, fileName)
			_, gone := os.Lstat(testenv.Path(dir, fileName+fsafe.NewSuffix))
			if regular := strings.Contains(name, "file") || name == "hard-link"; regular {
				if err != nil || !errors.Is(gone, fs.ErrNotExist) {
					t.Errorf("not removed: %v %v", err, gone)
				}
				return
			}
			if !errors.Is(err, ErrUnsafe) || gone != nil {
				t.Errorf("got %v %v, want %v and the entry", err, gone, ErrUnsafe)
			}
		})
	}
}

// rotate puts a new token in the old one's place, in both steps.
func rotate(dir *os.File, name string, p Policy) (*Secret, error) {
	s, err := prepareRotation(dir, name, p)
	if err != nil {
		return nil, err
	}
	if err := commitRotation(dir, name, p); err != nil {
		s.Wipe()
		return nil, errors.Join(err, abortRotation(dir, name))
	}
	return s, nil
}
