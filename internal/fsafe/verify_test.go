// SPDX-License-Identifier: Apache-2.0

package fsafe

import (
	"errors"
	"io/fs"
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/gateway-init/gateway-init/internal/testenv"
)

// TestVerify checks one wrong property at a time, which the refusal must name. Verify
// and VerifyAt must agree.
func TestVerify(t *testing.T) {
	testenv.Root(t)
	d := plant(t)
	testenv.Must(t, errors.Join(
		os.WriteFile(d+"/given", nil, 0o400), os.Chown(d+"/given", testenv.Gateway, testenv.Gateway+1),
		os.WriteFile(d+"/setuid", nil, 0o600), os.Chmod(d+"/setuid", 0o600|os.ModeSetuid),
		os.WriteFile(d+"/loose", nil, 0o600), os.Chmod(d+"/loose", 0o620),
		os.WriteFile(d+"/looser", nil, 0o600), os.Chmod(d+"/looser", 0o602),
	))
	dir := testenv.Dir(t, d)
	token := Want{Type: Regular, UID: ID(testenv.Gateway), GID: ID(testenv.Gateway + 1), Mode: Mode(0o400), Links: 1}
	for name, c := range map[string]struct {
		entry   string
		want    Want
		problem string // "": fine
	}{
		"fine":                {"given", token, ""},
		"anything":            {"device", Want{}, ""},
		"wrong-owner":         {"file", Want{UID: ID(7)}, "is owned by uid 0, not 7"},
		"owner-root-demanded": {"given", Want{UID: ID(0)}, "is owned by uid 54321, not 0"},
		"wrong-group":         {"given", Want{GID: ID(testenv.Gateway)}, "is of group 54322, not 54321"},
		"wrong-mode":          {"file", Want{Mode: Mode(0o400)}, "has mode 0600, not 0400"},
		"setuid":              {"setuid", Want{Mode: Mode(0o600)}, "has mode 4600, not 0600"},
		"group-writable":      {"loose", Want{NotWritableByOthers: true}, "is writable by others (mode 0620)"},
		"world-writable":      {"looser", Want{NotWritableByOthers: true}, "is writable by others (mode 0602)"},
		"hard-link":           {"linked", Want{Type: Regular, Links: 1}, "has 2 links, not 1"},
		"directory":           {"dir", Want{Type: Regular}, "is a directory, not a regular file"},
		"fifo":                {"fifo", Want{Type: Regular}, "is a FIFO, not a regular file"},
		"link":                {"link", Want{Type: Regular}, "is a symbolic link, not a regular file"},
		"socket":              {"socket", Want{Type: FIFO}, "is a socket, not a FIFO"},
		"device":              {"device", Want{Type: Directory}, "is a device, not a directory"},
	} {
		t.Run(name, func(t *testing.T) {
			f, err := OpenAt(dir, c.entry, unix.O_PATH)
			testenv.Must(t, err)
			defer f.Close()
			byFD, err1 := Verify(f, c.want)
			byName, err2 := VerifyAt(dir, c.entry, c.want)
			if byFD != byName || !byFD.Same(byName) {
				t.Errorf("two views of one file: %+v and %+v", byFD, byName)
			}
			for _, err := range []error{err1, err2} {
				if c.problem == "" {
					testenv.Must(t, err)
					continue
				}
				refused(t, err, c.entry)
				if !strings.HasSuffix(err.Error(), c.problem) {
					t.Errorf("says %q, want %q", err, c.problem)
				}
			}
		})
	}
}

func TestSame(t *testing.T) {
	a := Info{Dev: 1, Ino: 2}
	if !a.Same(Info{Dev: 1, Ino: 2, Size: 9}) || a.Same(Info{Dev: 2, Ino: 2}) || a.Same(Info{Dev: 1, Ino: 3}) {
		t.Error("Same is device and inode")
	}
}

// TestVerifyErrors checks that an error of the kernel is never a good answer.
func TestVerifyErrors(t *testing.T) {
	testenv.Root(t)
	d := plant(t)
	dir := testenv.Dir(t, d)
	if _, err := VerifyAt(dir, "missing", Want{}); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("missing: %v", err)
	}
	_, err := VerifyAt(dir, "../file", Want{})
	refused(t, err, "../file")
	closed, err := OpenAt(dir, "file", unix.O_RDONLY)
	testenv.Must(t, err)
	closed.Close()
	for name, err := range map[string]error{
		"stat":   second(Stat(closed)),
		"verify": second(Verify(closed, Want{})),
		"read":   second(ReadAll(closed, 10)),
		"chmod":  Chmod(closed, 0o600),
		"chown":  Chown(closed, 0, 0),
	} {
		if !errors.Is(err, unix.EBADF) {
			t.Errorf("%s of a closed file: %v", name, err)
		}
	}
}

func second[T any](_ T, err error) error { return err }
