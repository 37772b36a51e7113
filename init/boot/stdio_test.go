// SPDX-License-Identifier: Apache-2.0

package boot

import (
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/gateway-init/gateway-init/internal/sys"
	"github.com/gateway-init/gateway-init/internal/testenv"
)

func flags(t *testing.T, f *os.File) int {
	t.Helper()
	n, err := unix.FcntlInt(f.Fd(), unix.F_GETFL, 0)
	testenv.Must(t, err)
	return n
}

// TestReopenIsItsOwn checks that our log has its own file description. With the
// agent's, it could switch O_NONBLOCK for PID 1's log or move its offset.
func TestReopenIsItsOwn(t *testing.T) {
	r, w, err := os.Pipe()
	testenv.Must(t, err)
	defer r.Close()
	file, err := os.Create(filepath.Join(t.TempDir(), "log"))
	testenv.Must(t, err)
	for name, container := range map[string]*os.File{"pipe": w, "file": file} {
		t.Run(name, func(t *testing.T) {
			s := &stdio{}
			ours := s.reopen(int(container.Fd()), unix.O_NONBLOCK)
			gateway := s.reopen(int(container.Fd()), 0)
			defer ours.Close()
			defer gateway.Close()
			if s.shared != nil {
				t.Fatalf("shared: %v", s.shared)
			}
			if flags(t, ours)&unix.O_NONBLOCK == 0 || (flags(t, gateway)|flags(t, container))&unix.O_NONBLOCK != 0 {
				t.Error("O_NONBLOCK of one is that of another")
			}
			for _, f := range []*os.File{ours, gateway} {
				if flags(t, f)&unix.O_ACCMODE != unix.O_WRONLY || flags(t, f)&unix.O_APPEND == 0 {
					t.Errorf("flags %#x: it must be for appending only", flags(t, f))
				}
				if fd, err := unix.FcntlInt(f.Fd(), unix.F_GETFD, 0); err != nil || fd&unix.FD_CLOEXEC == 0 {
					t.Error("it would be inherited")
				}
			}
			_, err := unix.FcntlInt(container.Fd(), unix.F_SETFL, unix.O_NONBLOCK)
			testenv.Must(t, err)
			if flags(t, gateway)&unix.O_NONBLOCK != 0 {
				t.Error("the agent made the gateway's stderr non-blocking")
			}
		})
	}
	// Lines of all writers stay whole in a file, wherever the agent seeks.
	s := &stdio{}
	ours := s.reopen(int(file.Fd()), 0)
	defer ours.Close()
	for _, f := range []*os.File{file, ours} {
		_, err := f.WriteString("line\n")
		testenv.Must(t, err)
		_, err = file.Seek(0, io.SeekStart)
		testenv.Must(t, err)
	}
	if data, err := os.ReadFile(file.Name()); err != nil || string(data) != "line\nline\n" {
		t.Errorf("the file holds %q, %v", data, err)
	}
}

// TestStdioIsAppendedTo checks that a log file of the container is written at its end by
// all, and that nothing else is changed.
func TestStdioIsAppendedTo(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	written, err := os.Create(path)
	testenv.Must(t, err)
	defer written.Close()
	read, err := os.Open(path)
	testenv.Must(t, err)
	defer read.Close()
	_, pipe, err := os.Pipe()
	testenv.Must(t, err)
	defer pipe.Close()
	for f, want := range map[*os.File]bool{written: true, read: false, pipe: false} {
		testenv.Must(t, sys.AppendTo(int(f.Fd())))
		if got := flags(t, f)&unix.O_APPEND != 0; got != want {
			t.Errorf("%s: appended to %v", f.Name(), got)
		}
	}
	testenv.Must(t, sys.AppendTo(1<<20)) // it is closed
}

// TestReopenShared checks that a socket, which cannot be opened again, is duplicated
// and reported. A closed descriptor costs its lines, not the boot.
func TestReopenShared(t *testing.T) {
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	testenv.Must(t, err)
	ours, theirs := os.NewFile(uintptr(pair[0]), "ours"), os.NewFile(uintptr(pair[1]), "theirs")
	defer ours.Close()
	defer theirs.Close()
	s := &stdio{}
	f := s.reopen(pair[1], 0)
	if s.shared == nil || !strings.Contains(s.shared.Error(), "/proc/self/fd/") {
		t.Errorf("not said: %v", s.shared)
	}
	if f == nil || f.Fd() == theirs.Fd() {
		t.Fatal("it is not duplicated")
	}
	_, err = f.WriteString("line")
	testenv.Must(t, err)
	testenv.Must(t, f.Close())
	got := make([]byte, 4)
	if _, err := io.ReadFull(ours, got); err != nil || string(got) != "line" {
		t.Errorf("got %q, %v", got, err)
	}
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	testenv.Must(t, err)
	defer null.Close()
	s = &stdio{worker: [3]*os.File{null, null, null}}
	var limit syscall.Rlimit
	testenv.Must(t, syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit))
	if got := s.reopen(int(limit.Max)+1, 0); got != null || s.shared == nil {
		t.Errorf("a closed descriptor became %v", got.Name())
	}
}

// TestOpenStdio checks the descriptors of each child: no stdin for the gateway, none
// at all for a worker, and for both none that the agent holds.
func TestOpenStdio(t *testing.T) {
	s, err := openStdio()
	testenv.Must(t, err)
	for i, f := range s.worker {
		if f.Name() != os.DevNull || s.gateway[0] != f {
			t.Errorf("the worker's %d is %s", i, f.Name())
		}
	}
	for i := 1; i <= 2; i++ {
		if s.gateway[i] == s.container[i] || s.gateway[i].Fd() <= 2 || s.log.Fd() == s.gateway[i].Fd() {
			t.Errorf("the gateway's %d is shared", i)
		}
	}
	if s.container != [3]*os.File{os.Stdin, os.Stdout, os.Stderr} {
		t.Error("the command does not get the container's descriptors")
	}
}
