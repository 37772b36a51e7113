// SPDX-License-Identifier: Apache-2.0

package control

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/gateway-init/gateway-init/internal/fsafe"
	"github.com/gateway-init/gateway-init/internal/testenv"
)

// serving returns a Server in dir, without a supervisor behind it.
func serving(t *testing.T, dir *os.File) *Server {
	t.Helper()
	s, err := NewServer(dir)
	check(t, err)
	t.Cleanup(s.Close)
	return s
}

// send writes to the FIFO as root would from a shell.
func (f *fake) send(text string) {
	f.t.Helper()
	w, err := os.OpenFile(f.fifo(), os.O_WRONLY|unix.O_NONBLOCK, 0)
	check(f.t, err)
	defer w.Close()
	_, err = w.WriteString(text)
	check(f.t, err)
}

// next returns the next frame that arrives.
func next(t *testing.T, s *Server) Incoming {
	t.Helper()
	select {
	case in := <-s.Requests():
		return in
	case <-time.After(20 * time.Second):
		t.Fatal("no frame arrives")
		return Incoming{}
	}
}

func kinds(t *testing.T, path string) string {
	t.Helper()
	i, err := os.Lstat(path)
	check(t, err)
	st := i.Sys().(*syscall.Stat_t)
	return fmt.Sprintf("%v uid %d links %d", i.Mode(), st.Uid, st.Nlink)
}

// TestServerMakes checks that only root can use the files, whatever the umask is.
func TestServerMakes(t *testing.T) {
	f := newFake(t)
	old := syscall.Umask(0)
	s := serving(t, f.dir)
	syscall.Umask(old)
	check(t, s.Reply(Reply{Nonce: nonceOf("a"), Outcome: Accepted}))
	me := os.Geteuid()
	for path, want := range map[string]string{
		filepath.Join(f.path, Dir):          fmt.Sprintf("drwx------ uid %d links 3", me),
		filepath.Join(f.path, Dir, Replies): fmt.Sprintf("drwx------ uid %d links 2", me),
		f.fifo():                            fmt.Sprintf("prw------- uid %d links 1", me),
		f.reply(nonceOf("a")):               fmt.Sprintf("-rw------- uid %d links 1", me),
	} {
		if got := kinds(t, path); got != want {
			t.Errorf("%s is %s, want %s", path, got, want)
		}
	}
}

// TestServerReads checks that the next frame is found after any bytes, between any
// and without an end before it, and that nothing blocks.
func TestServerReads(t *testing.T) {
	f := newFake(t)
	s := serving(t, f.dir)
	good := func(n string) string { return "v1 " + nonceOf(n) + " probe\n" }
	f.send("\n\n" + good("1"))
	f.send("v1 " + nonceOf("2"))
	f.send(" stop\n" + "\x00\xff garbage\n" + strings.Repeat("x", 3*maxFrame) + "\n" + "v1 " + nonceOf("3") + " reboot\n")
	f.send("half a line of somebody who died")
	f.send("\n" + good("4"))
	type want struct {
		nonce  string
		action Action
		err    error
	}
	for i, w := range []want{
		{nonceOf("1"), Probe, nil}, {nonceOf("2"), Stop, nil}, {"", "", ErrMalformed}, {"", "", ErrMalformed},
		{nonceOf("3"), "", ErrUnknownAction}, {"", "", ErrMalformed}, {nonceOf("4"), Probe, nil},
	} {
		if in := next(t, s); in.Nonce != w.nonce || in.Action != w.action || !errors.Is(in.Err, w.err) {
			t.Errorf("frame %d: %+v, want %+v", i, in, w)
		}
	}
	select {
	case in := <-s.Requests():
		t.Errorf("one more: %+v", in)
	default:
	}
}

// TestServerSlowSupervisor checks that a busy supervisor loses nothing. The pipe
// fills, writers get EAGAIN, and all written frames are read in order.
func TestServerSlowSupervisor(t *testing.T) {
	f := newFake(t)
	s := serving(t, f.dir)
	w, err := os.OpenFile(f.fifo(), os.O_WRONLY|unix.O_NONBLOCK, 0)
	check(t, err)
	defer w.Close()
	sent := 0
	for ; ; sent++ { // a raw call, because the poller of os.File would wait for room
		frame, err := Encode(numbered(Probe, sent))
		check(t, err)
		if _, err = unix.Write(int(w.Fd()), frame); errors.Is(err, unix.EAGAIN) {
			break
		}
		check(t, err)
		if sent > 1<<16 {
			t.Fatal("the pipe has no end")
		}
	}
	for i := range sent {
		if in := next(t, s); in.Err != nil || in.Nonce != numbered(Probe, i).Nonce {
			t.Fatalf("frame %d: %+v", i, in)
		}
	}
	if sent < 16 {
		t.Errorf("only %d fit", sent)
	}
}

// TestNewServerLeftovers checks that files of an earlier run are replaced. Any other
// file of their names ends the boot by name, and no file behind a link is touched.
func TestNewServerLeftovers(t *testing.T) {
	at := func(f *fake, parts ...string) string { return filepath.Join(append([]string{f.path}, parts...)...) }
	for name, c := range map[string]struct {
		plant  func(t *testing.T, f *fake)
		refuse string // part of the refusal; "" is served
	}{
		"another-life": {func(t *testing.T, f *fake) {
			s, err := NewServer(f.dir)
			check(t, err)
			check(t, s.Reply(Reply{Nonce: nonceOf("a"), Outcome: OK}))
			s.Close()
			check(t, os.WriteFile(f.reply(nonceOf("b")+".new"), []byte("half"), 0o600))
		}, ""},
		"open-directory":   {func(t *testing.T, f *fake) { check(t, os.Mkdir(at(f, Dir), 0o755)) }, "has mode 0755"},
		"directory-link":   {func(t *testing.T, f *fake) { check(t, os.Symlink("/tmp", at(f, Dir))) }, "symbolic link"},
		"directory-a-file": {func(t *testing.T, f *fake) { check(t, os.WriteFile(at(f, Dir), nil, 0o600)) }, "not a directory"},
		"fifo-a-file": {func(t *testing.T, f *fake) {
			check(t, os.Mkdir(at(f, Dir), 0o700))
			check(t, os.WriteFile(f.fifo(), []byte("kept"), 0o600))
		}, "is a regular file, not a FIFO"},
		"fifo-a-link": {func(t *testing.T, f *fake) {
			check(t, os.Mkdir(at(f, Dir), 0o700))
			check(t, os.Symlink("elsewhere", f.fifo()))
		}, "is a symbolic link, not a FIFO"},
		"fifo-linked-twice": {func(t *testing.T, f *fake) {
			check(t, os.Mkdir(at(f, Dir), 0o700))
			check(t, unix.Mkfifo(f.fifo(), 0o600))
			check(t, os.Link(f.fifo(), at(f, "second")))
		}, "has 2 links"},
		"reply-a-link": {func(t *testing.T, f *fake) {
			check(t, os.MkdirAll(at(f, Dir, Replies), 0o700))
			check(t, os.Symlink("/etc/passwd", f.reply(nonceOf("a"))))
		}, "is a symbolic link, not a regular file"},
		"reply-a-directory": {func(t *testing.T, f *fake) {
			check(t, os.MkdirAll(f.reply(nonceOf("a")), 0o700))
		}, "is a directory"},
		"foreign-reply": {func(t *testing.T, f *fake) {
			testenv.Root(t)
			check(t, os.MkdirAll(at(f, Dir, Replies), 0o700))
			check(t, os.WriteFile(f.reply("x"), nil, 0o600))
			check(t, os.Chown(f.reply("x"), testenv.Stranger, 0))
		}, "is owned by uid"},
		"foreign-fifo": {func(t *testing.T, f *fake) {
			testenv.Root(t)
			check(t, os.Mkdir(at(f, Dir), 0o700))
			check(t, unix.Mkfifo(f.fifo(), 0o600))
			check(t, os.Chown(f.fifo(), testenv.Stranger, 0))
		}, "is owned by uid"},
		"foreign-directory": {func(t *testing.T, f *fake) {
			testenv.Root(t)
			check(t, os.Mkdir(at(f, Dir), 0o700))
			check(t, os.Chown(at(f, Dir), testenv.Stranger, 0))
		}, "is owned by uid"},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFake(t)
			c.plant(t, f)
			s, err := NewServer(f.dir)
			if c.refuse != "" {
				if !errors.Is(err, fsafe.ErrUnsafe) || !strings.Contains(err.Error(), c.refuse) || s != nil {
					t.Errorf("got %v, %v; want a refusal that says %q", s, err, c.refuse)
				}
				return
			}
			check(t, err)
			defer s.Close()
			names, err := os.ReadDir(filepath.Join(f.path, Dir, Replies))
			if err != nil || len(names) != 0 {
				t.Errorf("replies of another life: %v, %v", names, err)
			}
			f.send("v1 " + nonceOf("c") + " probe\n")
			if in := next(t, s); in.Nonce != nonceOf("c") {
				t.Errorf("got %+v", in)
			}
		})
	}
}

// TestServerCheck checks that a FIFO that was removed or changed is replaced.
func TestServerCheck(t *testing.T) {
	remove := func(f *fake) error { return os.Remove(f.fifo()) }
	for name, c := range map[string]struct {
		spoil   func(f *fake) error
		problem string
	}{
		"untouched":    {func(*fake) error { return nil }, ""},
		"removed":      {remove, "no such file"},
		"another-fifo": {func(f *fake) error { return errors.Join(remove(f), unix.Mkfifo(f.fifo(), 0o600)) }, "another FIFO than ours"},
		"a-file":       {func(f *fake) error { return errors.Join(remove(f), os.WriteFile(f.fifo(), nil, 0o600)) }, "is a regular file"},
		"a-directory":  {func(f *fake) error { return errors.Join(remove(f), os.Mkdir(f.fifo(), 0o700)) }, "is a directory"},
		"a-link": {func(f *fake) error {
			return errors.Join(os.Rename(f.fifo(), f.fifo()+"2"), os.Symlink(FIFO+"2", f.fifo()))
		}, "is a symbolic link"},
		"opened-up": {func(f *fake) error { return os.Chmod(f.fifo(), 0o622) }, "has mode 0622"},
		"linked":    {func(f *fake) error { return os.Link(f.fifo(), f.fifo()+"2") }, "has 2 links"},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFake(t)
			s := serving(t, f.dir)
			check(t, c.spoil(f))
			problem, err := s.Check()
			if err != nil || (problem == nil) != (c.problem == "") || problem != nil && !strings.Contains(problem.Error(), c.problem) {
				t.Errorf("got %v, %v; want %q", problem, err, c.problem)
			}
			if problem, err := s.Check(); problem != nil || err != nil {
				t.Errorf("a second look: %v, %v", problem, err)
			}
			f.send("v1 " + nonceOf("c") + " probe\n")
			if in := next(t, s); in.Nonce != nonceOf("c") {
				t.Errorf("got %+v", in)
			}
		})
	}
	t.Run("not-to-be-removed", func(t *testing.T) {
		f := newFake(t)
		s := serving(t, f.dir)
		check(t, errors.Join(remove(f), os.MkdirAll(f.fifo()+"/full", 0o700)))
		if problem, err := s.Check(); problem == nil || err == nil {
			t.Errorf("got %v, %v", problem, err)
		}
		check(t, os.RemoveAll(f.fifo()))
		if _, err := s.Check(); err != nil {
			t.Errorf("when the way was free: %v", err)
		}
		f.send("v1 " + nonceOf("c") + " probe\n")
		next(t, s)
	})
}
