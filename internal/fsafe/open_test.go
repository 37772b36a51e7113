// SPDX-License-Identifier: Apache-2.0

package fsafe

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/gateway-init/gateway-init/internal/testenv"
)

// plant fills a directory with one entry of each kind that an attacker could put in
// the place of a file.
func plant(t *testing.T) string {
	t.Helper()
	d := t.TempDir()
	at := func(name string) string { return filepath.Join(d, name) }
	testenv.Must(t, errors.Join(
		os.WriteFile(at("file"), []byte("content"), 0o600),
		os.WriteFile(at("linked"), []byte("content"), 0o600),
		os.Link(at("linked"), at("linked2")),
		os.Symlink("file", at("link")),
		os.Symlink("nowhere", at("dangling")),
		os.Symlink("loop", at("loop")),
		os.Mkdir(at("dir"), 0o700),
		os.WriteFile(at("dir/inner"), nil, 0o600),
		os.Symlink("dir", at("dirlink")),
		unix.Mkfifo(at("fifo"), 0o600),
		unix.Mknod(at("socket"), unix.S_IFSOCK|0o600, 0),
		unix.Mknod(at("device"), unix.S_IFCHR|0o600, int(unix.Mkdev(1, 3))),
	))
	return d
}

// refused demands an ErrUnsafe whose message has the name.
func refused(t *testing.T, err error, name string) {
	t.Helper()
	if !errors.Is(err, ErrUnsafe) || !strings.Contains(err.Error(), name) {
		t.Errorf("got %v, want a refusal that names %s", err, name)
	}
}

func TestOpenDir(t *testing.T) {
	testenv.Root(t)
	d := plant(t)
	for name, c := range map[string]struct {
		path string
		want error // nil: opens
	}{
		"root":              {"/", nil},
		"deep":              {d + "/dir", nil},
		"relative":          {"dir", ErrUnsafe},
		"empty":             {"", ErrUnsafe},
		"dot-dot":           {d + "/dir/../dir", ErrUnsafe},
		"trailing-slash":    {d + "/dir/", ErrUnsafe},
		"link-at-the-end":   {d + "/dirlink", ErrUnsafe},
		"link-in-the-way":   {d + "/dirlink/x", ErrUnsafe},
		"loop":              {d + "/loop", ErrUnsafe},
		"file-at-the-end":   {d + "/file", ErrUnsafe},
		"file-in-the-way":   {d + "/file/x", ErrUnsafe},
		"fifo":              {d + "/fifo", ErrUnsafe},
		"missing":           {d + "/missing", fs.ErrNotExist},
		"missing-in-midway": {d + "/missing/x", fs.ErrNotExist},
		"name-too-long":     {d + "/" + strings.Repeat("n", 256), unix.ENAMETOOLONG},
		"nul":               {d + "/a\x00b", unix.EINVAL},
	} {
		t.Run(name, func(t *testing.T) {
			f, err := OpenDir(c.path)
			if !errors.Is(err, c.want) {
				t.Fatalf("got %v, want %v", err, c.want)
			}
			if err == nil {
				if f.Name() != c.path && c.path != "/" {
					t.Errorf("is called %s", f.Name())
				}
				if _, err := f.Readdirnames(-1); err != nil {
					t.Errorf("cannot be listed: %v", err)
				}
				f.Close()
			}
		})
	}
}

func TestOpenAt(t *testing.T) {
	testenv.Root(t)
	dir := testenv.Dir(t, plant(t))
	for name, c := range map[string]struct {
		entry string
		flags int
		want  error
	}{
		"file":             {"file", unix.O_RDONLY, nil},
		"fifo-no-hang":     {"fifo", unix.O_RDONLY, nil},
		"fifo-no-reader":   {"fifo", unix.O_WRONLY, unix.ENXIO},
		"link":             {"link", unix.O_RDONLY, ErrUnsafe},
		"link-write":       {"link", unix.O_WRONLY, ErrUnsafe},
		"dangling":         {"dangling", unix.O_RDONLY, ErrUnsafe},
		"link-as-dir":      {"dirlink", unix.O_DIRECTORY, ErrUnsafe},
		"file-as-dir":      {"file", unix.O_DIRECTORY, ErrUnsafe},
		"link-by-o-path":   {"link", unix.O_PATH, nil}, // the link itself
		"socket":           {"socket", unix.O_RDONLY, unix.ENXIO},
		"directory-write":  {"dir", unix.O_WRONLY, unix.EISDIR},
		"missing":          {"missing", unix.O_RDONLY, fs.ErrNotExist},
		"empty-name":       {"", unix.O_RDONLY, ErrUnsafe},
		"dot":              {".", unix.O_RDONLY, ErrUnsafe},
		"dot-dot":          {"..", unix.O_RDONLY, ErrUnsafe},
		"slash":            {"dir/inner", unix.O_RDONLY, ErrUnsafe},
		"absolute":         {"/etc/passwd", unix.O_RDONLY, ErrUnsafe},
		"nul":              {"fi\x00le", unix.O_RDONLY, ErrUnsafe},
		"name-of-max-size": {strings.Repeat("n", 256), unix.O_RDONLY, unix.ENAMETOOLONG},
	} {
		t.Run(name, func(t *testing.T) {
			f, err := OpenAt(dir, c.entry, c.flags)
			if !errors.Is(err, c.want) {
				t.Fatalf("got %v, want %v", err, c.want)
			}
			if err != nil {
				return
			}
			defer f.Close()
			if flags, err := unix.FcntlInt(f.Fd(), unix.F_GETFD, 0); err != nil || flags&unix.FD_CLOEXEC == 0 {
				t.Errorf("a child would inherit it: %#x %v", flags, err)
			}
		})
	}
	if i, err := OpenAt(dir, "link", unix.O_PATH); err == nil {
		defer i.Close()
		if info, err := Stat(i); err != nil || info.Type != unix.S_IFLNK {
			t.Errorf("O_PATH followed the link: %v %v", info.Type, err)
		}
	}
}

// TestCreateAt checks that nothing is written through an existing entry.
func TestCreateAt(t *testing.T) {
	testenv.Root(t)
	d := plant(t)
	dir := testenv.Dir(t, d)
	for _, name := range []string{"file", "link", "dangling", "loop", "dir", "fifo", "socket", "device"} {
		t.Run(name, func(t *testing.T) {
			if f, err := CreateAt(dir, name, 0o600); !errors.Is(err, fs.ErrExist) {
				t.Errorf("got %v %v, want %v", f, err, fs.ErrExist)
			}
		})
	}
	if _, err := os.Lstat(d + "/nowhere"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("something was created through the dangling link: %v", err)
	}
	_, err := CreateAt(dir, "../escaped", 0o600)
	refused(t, err, "../escaped")
	f, err := CreateAt(dir, "fresh", 0o640)
	testenv.Must(t, err)
	f.Close()
}

func TestReadAll(t *testing.T) {
	testenv.Root(t)
	d := t.TempDir()
	for name, c := range map[string]struct {
		size, max int
		want      error
	}{
		"empty":          {0, 64, nil},
		"exactly-max":    {64, 64, nil},
		"one-more":       {65, 64, ErrTooLarge},
		"nothing-wanted": {0, 0, nil},
		"max-zero":       {1, 0, ErrTooLarge},
		"grows":          {9000, 10000, nil},
		"far-too-large":  {9000, 8000, ErrTooLarge},
	} {
		t.Run(name, func(t *testing.T) {
			want := bytes.Repeat([]byte("x"), c.size)
			path := filepath.Join(d, name)
			testenv.Must(t, os.WriteFile(path, want, 0o600))
			f, err := os.Open(path)
			testenv.Must(t, err)
			defer f.Close()
			f.Seek(3, 0) // the offset of a descriptor that was passed to us does not matter
			got, err := ReadAll(f, c.max)
			if !errors.Is(err, c.want) || err == nil && !bytes.Equal(got, want) {
				t.Errorf("got %d bytes and %v, want %d and %v", len(got), err, c.size, c.want)
			}
		})
	}
	dir := testenv.Dir(t, d)
	if _, err := ReadAll(dir, 64); !errors.Is(err, unix.EISDIR) {
		t.Errorf("reading a directory: %v", err)
	}
	zero, err := os.Open("/dev/zero") // its size is 0, and it never ends
	testenv.Must(t, err)
	defer zero.Close()
	if _, err := ReadAll(zero, 1000); !errors.Is(err, ErrTooLarge) {
		t.Errorf("reading without end: %v", err)
	}
}

// TestOpenUnderExchange checks that the secret is never opened, while an attacker
// exchanges the file with a link to it as fast as it can.
func TestOpenUnderExchange(t *testing.T) {
	testenv.Root(t)
	d := t.TempDir()
	testenv.Must(t, errors.Join(
		os.WriteFile(d+"/secret", []byte("secret"), 0o600),
		os.Mkdir(d+"/open", 0o700),
		os.WriteFile(d+"/open/name", []byte("fine"), 0o600),
		os.Symlink("../secret", d+"/open/evil"),
		os.Mkdir(d+"/way", 0o700), os.Mkdir(d+"/way/in", 0o700),
		os.WriteFile(d+"/way/in/file", []byte("fine"), 0o600),
		os.Symlink("..", d+"/way/evil"),
	))
	stop := make(chan struct{})
	done := make(chan int)
	go func() {
		n := 0
		for {
			select {
			case <-stop:
				done <- n
				return
			default:
				unix.Renameat2(unix.AT_FDCWD, d+"/open/name", unix.AT_FDCWD, d+"/open/evil", unix.RENAME_EXCHANGE)
				unix.Renameat2(unix.AT_FDCWD, d+"/way/in", unix.AT_FDCWD, d+"/way/evil", unix.RENAME_EXCHANGE)
				n++
			}
		}
	}()
	dir := testenv.Dir(t, d+"/open")
	opened, rejected := 0, 0
	look := func(f *os.File, err error) {
		switch {
		case errors.Is(err, ErrUnsafe):
			rejected++
			return
		case err != nil:
			t.Errorf("not an answer to a link: %v", err)
			return
		}
		defer f.Close()
		opened++
		if data, err := ReadAll(f, 100); err != nil || string(data) != "fine" {
			t.Fatalf("read %q, %v", data, err)
		}
	}
	for end := time.Now().Add(20 * time.Second); (opened < 500 || rejected < 500) && time.Now().Before(end); {
		look(OpenAt(dir, "name", unix.O_RDONLY))
		in, err := OpenDir(d + "/way/in")
		if err != nil {
			look(nil, err)
			continue
		}
		look(OpenAt(in, "file", unix.O_RDONLY))
		in.Close()
	}
	close(stop)
	if n := <-done; opened < 500 || rejected < 500 {
		t.Errorf("no race: %d opened, %d rejected, %d exchanges", opened, rejected, n)
	}
}

// TestAgain checks that the new description is of the same directory.
func TestAgain(t *testing.T) {
	dir := testenv.Dir(t, t.TempDir())
	again, err := Again(dir)
	testenv.Must(t, err)
	defer again.Close()
	a, err := Stat(dir)
	testenv.Must(t, err)
	if b, err := Stat(again); err != nil || !a.Same(b) {
		t.Errorf("%v: %+v is not %+v", err, b, a)
	}
	dir.Close()
	if f, err := Again(dir); err == nil {
		f.Close()
		t.Error("of a closed one")
	}
}
