// SPDX-License-Identifier: Apache-2.0

package config

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/gateway-init/gateway-init/internal/fsafe"
)

const minimal = `{"gateway":{"command":["/bin/gateway"]}}`

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestLoad(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("needs root: the file must be root's")
	}
	dir := t.TempDir()
	file := filepath.Join(dir, "config.json")
	must(t, os.WriteFile(file, []byte(minimal), 0o644))
	c, err := Load(file)
	must(t, err)
	if c.Gateway.Command[0] != "/bin/gateway" {
		t.Errorf("got %+v", c)
	}
	t.Chdir(dir)
	if _, err := Load("config.json"); err != nil {
		t.Errorf("relative path: %v", err)
	}
}

// spoilers returns functions that make the file at path one that must be refused.
func spoilers() map[string]struct {
	spoil func(file string) error
	want  string
} {
	type c = struct {
		spoil func(file string) error
		want  string
	}
	return map[string]c{
		"missing":        {os.Remove, "no such file or directory: put the configuration there"},
		"world-writable": {func(f string) error { return os.Chmod(f, 0o666) }, "it is writable by others (mode 0666): chmod 0644 it"},
		"group-writable": {func(f string) error { return os.Chmod(f, 0o664) }, "chmod 0644 it"},
		"foreign":        {func(f string) error { return os.Chown(f, 4711, 0) }, "it is owned by uid 4711, not 0: chown 0:0 it"},
		"hard-link":      {func(f string) error { return os.Link(f, f+"2") }, "it has 2 links, not 1: copy it"},
		"symlink": {func(f string) error {
			return errors.Join(os.Rename(f, f+"2"), os.Symlink(f+"2", f))
		}, "it is a symbolic link or not a directory: put a regular file there"},
		"directory": {func(f string) error {
			return errors.Join(os.Remove(f), os.Mkdir(f, 0o755))
		}, "it is a directory, not a regular file: put the file there; an engine makes a directory if the file of -v or volumes is missing on the host"},
		"fifo": {func(f string) error {
			return errors.Join(os.Remove(f), unix.Mkfifo(f, 0o644))
		}, "it is a FIFO, not a regular file"},
		"too-large": {func(f string) error { return os.Truncate(f, MaxSize+1) }, "it is 65537 bytes (accepted: at most 65536): shorten it"},
		"content":   {func(f string) error { return os.WriteFile(f, []byte("{}"), 0o644) }, "config.json:1:1: gateway.command is missing"},
	}
}

func TestLoadRefuses(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("needs root: chown")
	}
	for name, c := range spoilers() {
		t.Run(name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "config.json")
			must(t, os.WriteFile(file, []byte(minimal), 0o644))
			must(t, c.spoil(file))
			_, err := Load(file)
			if err == nil || !strings.Contains(err.Error(), file) || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "\n") {
				t.Fatalf("got %v, want one line with %q", err, c.want)
			}
			if strings.Count(err.Error(), file) != 1 {
				t.Errorf("the path stands there twice: %v", err)
			}
		})
	}
}

func TestLoadLargest(t *testing.T) {
	file := filepath.Join(t.TempDir(), "config.json")
	text := minimal + strings.Repeat(" ", MaxSize-len(minimal))
	must(t, os.WriteFile(file, []byte(text), 0o644))
	data, err := read(file, fsafe.ID(uint32(os.Getuid())))
	must(t, err)
	if len(data) != MaxSize {
		t.Errorf("got %d bytes", len(data))
	}
}

func TestLoadLinkInParent(t *testing.T) {
	dir := t.TempDir()
	must(t, os.Mkdir(filepath.Join(dir, "real"), 0o755))
	must(t, os.WriteFile(filepath.Join(dir, "real", "config.json"), []byte(minimal), 0o644))
	must(t, os.Symlink("real", filepath.Join(dir, "link")))
	_, err := Load(filepath.Join(dir, "link", "config.json"))
	if err == nil || !strings.Contains(err.Error(), "link: is a symbolic link or not a directory: name the path without links") {
		t.Errorf("got %v", err)
	}
}

func TestExplain(t *testing.T) {
	for name, c := range map[string]struct {
		err  error
		want string
	}{
		"not-permitted": {&os.PathError{Op: "open", Path: "/c", Err: unix.EACCES}, "permission denied: let root read it, and run this as root"},
		"parent":        {&os.PathError{Op: "open", Path: "/", Err: unix.ENOENT}, "open /: no such file or directory: put the configuration there"},
		"read-error":    {&os.PathError{Op: "read", Path: "/c", Err: unix.EIO}, "input/output error"},
	} {
		if got := explain("/c", fsafe.Info{}, c.err); got.Error() != c.want {
			t.Errorf("%s: got %q, want %q", name, got, c.want)
		}
	}
}
