// SPDX-License-Identifier: Apache-2.0

package users

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// etc makes a root directory with both files.
func etc(t *testing.T) (root, passwdFile, groupFile string) {
	t.Helper()
	root = t.TempDir()
	passwdFile, groupFile = filepath.Join(root, passwdPath), filepath.Join(root, groupPath)
	if err := errors.Join(os.Mkdir(filepath.Join(root, "etc"), 0o755),
		os.WriteFile(passwdFile, []byte(passwd), 0o644), os.WriteFile(groupFile, []byte(group), 0o644)); err != nil {
		t.Fatal(err)
	}
	return root, passwdFile, groupFile
}

func TestLoad(t *testing.T) {
	root, passwdFile, _ := etc(t)
	for name, prepare := range map[string]func() error{
		"plain": func() error { return nil },
		"link": func() error { // as in images that keep their files in a store
			return errors.Join(os.Rename(passwdFile, passwdFile+".store"), os.Symlink("passwd.store", passwdFile))
		},
	} {
		if err := prepare(); err != nil {
			t.Fatal(err)
		}
		db, err := load(root)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if u, err := db.Resolve("gateway"); err != nil || u.UID != 9001 {
			t.Errorf("%s: got %+v, %v", name, u, err)
		}
	}
}

func TestLoadOfThisMachine(t *testing.T) {
	db, err := Load()
	if err != nil {
		t.Fatal(err)
	}
	if u, err := db.Resolve("root"); err == nil {
		t.Errorf("got %+v", u)
	}
}

func TestLoadRefuses(t *testing.T) {
	for name, c := range map[string]struct {
		spoil func(passwdFile, groupFile string) error
		want  string
	}{
		"no-passwd": {func(p, _ string) error { return os.Remove(p) }, "etc/passwd: no such file or directory: add the file to the image"},
		"no-group":  {func(_, g string) error { return os.Remove(g) }, "etc/group: no such file or directory: add the file to the image"},
		"loop": {func(p, _ string) error {
			return errors.Join(os.Remove(p), os.Symlink("passwd", p))
		}, "too many levels of symbolic links"},
		"directory": {func(_, g string) error {
			return errors.Join(os.Remove(g), os.Mkdir(g, 0o755))
		}, "etc/group: is a directory, not a regular file: put a regular file there"},
		"fifo": {func(p, _ string) error {
			return errors.Join(os.Remove(p), unix.Mkfifo(p, 0o644))
		}, "etc/passwd: is a FIFO, not a regular file"},
		"huge": {func(p, _ string) error { return os.Truncate(p, 100<<20) }, "etc/passwd is 104857600 bytes (accepted: at most 1048576): shorten it"},
	} {
		t.Run(name, func(t *testing.T) {
			root, passwdFile, groupFile := etc(t)
			if err := c.spoil(passwdFile, groupFile); err != nil {
				t.Fatal(err)
			}
			if _, err := load(root); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
}
