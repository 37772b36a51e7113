// SPDX-License-Identifier: Apache-2.0

package sys

import (
	"os"
	"os/exec"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/gateway-init/gateway-init/internal/testenv"
)

// TestRelayOnly checks what the filter refuses, and that the rest goes on: threads, TCP,
// sock_diag, files.
func TestRelayOnly(t *testing.T) {
	if !testenv.Inside(t, 0) {
		return
	}
	socket := func(family, kind, protocol int) func() error {
		return func() error {
			fd, err := unix.Socket(family, kind, protocol)
			if err == nil {
				unix.Close(fd)
			}
			return err
		}
	}
	call := func(nr uintptr, args ...uintptr) func() error {
		var a [3]uintptr
		copy(a[:], args)
		return func() error {
			if _, _, errno := unix.RawSyscall(nr, a[0], a[1], a[2]); errno != 0 {
				return errno
			}
			return nil
		}
	}
	refused := map[string]func() error{
		"exec":         func() error { return exec.Command("/bin/true").Run() },
		"execve":       func() error { return unix.Exec("/bin/true", []string{"true"}, nil) },
		"clone3":       call(unix.SYS_CLONE3, 0, 0),
		"clone":        call(unix.SYS_CLONE, uintptr(unix.SIGCHLD), 0),
		"vfork":        call(unix.SYS_CLONE, unix.CLONE_VM|unix.CLONE_VFORK|uintptr(unix.SIGCHLD), 0),
		"ptrace":       func() error { return unix.PtraceAttach(os.Getppid()) },
		"read-memory":  call(unix.SYS_PROCESS_VM_READV, uintptr(os.Getppid())),
		"write-memory": call(unix.SYS_PROCESS_VM_WRITEV, uintptr(os.Getppid())),
		"steal-fd":     call(unix.SYS_PIDFD_GETFD, 0),
		"io-uring":     call(unix.SYS_IO_URING_SETUP, 1),
		"namespace":    call(unix.SYS_UNSHARE, unix.CLONE_NEWUSER),
		"unix-socket":  socket(unix.AF_UNIX, unix.SOCK_STREAM, 0),
		"udp":          socket(unix.AF_INET, unix.SOCK_DGRAM, 0),
		"udp6":         socket(unix.AF_INET6, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0),
		"raw":          socket(unix.AF_INET, unix.SOCK_RAW, unix.IPPROTO_TCP),
		"mptcp":        socket(unix.AF_INET, unix.SOCK_STREAM, 262),
		"packet":       socket(unix.AF_PACKET, unix.SOCK_RAW, 0),
		"vsock":        socket(unix.AF_VSOCK, unix.SOCK_STREAM, 0),
		"route":        socket(unix.AF_NETLINK, unix.SOCK_RAW, unix.NETLINK_ROUTE),
		"crypto":       socket(unix.AF_ALG, unix.SOCK_SEQPACKET, 0),
	}
	for name, f := range refused { // a control: most of them are not refused before
		switch name {
		case "mptcp", "udp", "unix-socket", "route":
			testenv.Must(t, f())
		}
	}
	testenv.Must(t, NoNewPrivs())
	testenv.Must(t, RelayOnly())
	for name, f := range refused {
		err := f()
		if e, ok := err.(*os.PathError); ok {
			err = e.Err
		}
		if err != unix.EPERM && !(name == "clone3" && err == unix.ENOSYS) && !(name == "exec" && err != nil) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, f := range map[string]func() error{
		"tcp": socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_NONBLOCK, unix.IPPROTO_TCP), "tcp6": socket(unix.AF_INET6, unix.SOCK_STREAM, 0),
		"sock-diag": socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_SOCK_DIAG),
		"file":      func() error { _, err := os.ReadFile("/proc/self/net/tcp"); return err },
	} {
		if err := f(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	WarmThreads(8) // clone(2) with CLONE_THREAD
}

// TestRelayOnlyIsForAllThreads checks a thread that was there before the filter.
func TestRelayOnlyIsForAllThreads(t *testing.T) {
	if !testenv.Inside(t, 0) {
		return
	}
	ask, answer := make(chan bool), make(chan error)
	go func() {
		<-ask
		fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM, 0)
		if err == nil {
			unix.Close(fd)
		}
		answer <- err
	}()
	WarmThreads(4)
	testenv.Must(t, NoNewPrivs())
	testenv.Must(t, RelayOnly())
	for range 8 {
		go func() { _, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM, 0); answer <- err }()
	}
	ask <- true
	for range 9 {
		if err := <-answer; err != unix.EPERM {
			t.Errorf("got %v", err)
		}
	}
}
