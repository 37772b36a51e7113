// SPDX-License-Identifier: Apache-2.0

package testenv

import (
	"os"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Refuse makes the kernel answer errno to system calls of this process from now
// on, as an old kernel (ENOSYS) or an engine's seccomp profile (EPERM) would.
// It cannot be undone, so call it only in a process of its own (Inside).
func Refuse(t *testing.T, errno unix.Errno, calls ...uint32) {
	t.Helper()
	if os.Getenv(insideEnv) == "" {
		t.Fatal("Refuse would outlive this test: call it Inside")
	}
	if err := RefuseCalls(errno, calls...); err != nil {
		t.Fatalf("cannot install a seccomp filter: %v", err)
	}
}

// RefuseCalls does the same for a process that is not a test. An execve(2) keeps the
// filter.
func RefuseCalls(errno unix.Errno, calls ...uint32) error {
	const nr = 0 // offset of the number in struct seccomp_data
	filter := []unix.SockFilter{{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: nr}}
	for _, c := range calls {
		filter = append(filter,
			unix.SockFilter{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: c, Jf: 1},
			unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ERRNO | uint32(errno)})
	}
	return install(append(filter, unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ALLOW}))
}

// install installs a filter for all threads.
func install(filter []unix.SockFilter) error {
	prog := unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]}
	_, _, e := unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, unix.SECCOMP_FILTER_FLAG_TSYNC,
		uintptr(unsafe.Pointer(&prog)))
	if e != 0 {
		return e
	}
	return nil
}

// RefuseSocket makes the kernel answer errno to socket(2) of one family from now on. The
// rest is as for RefuseCalls.
func RefuseSocket(errno unix.Errno, family uint32) error {
	const nr, arg0 = 0, 16 // offsets in struct seccomp_data
	return install([]unix.SockFilter{
		{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: nr},
		{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: unix.SYS_SOCKET, Jf: 3},
		{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: arg0},
		{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: family, Jf: 1},
		{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ERRNO | uint32(errno)},
		{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ALLOW},
	})
}

// Hold makes the kernel stop each thread of this process, and of its children, that makes
// the system call, until release is called. It returns the ids of these threads as they
// come. As Refuse, it is for a process of its own.
func Hold(t *testing.T, call uint32) (held <-chan int, release func()) {
	t.Helper()
	if os.Getenv(insideEnv) == "" {
		t.Fatal("Hold would outlive this test: call it Inside")
	}
	filter := []unix.SockFilter{
		{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: 0}, // the number in struct seccomp_data
		{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: call, Jf: 1},
		{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_USER_NOTIF},
		{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ALLOW},
	}
	prog := unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]}
	fd, _, e := unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER,
		unix.SECCOMP_FILTER_FLAG_NEW_LISTENER|unix.SECCOMP_FILTER_FLAG_TSYNC|unix.SECCOMP_FILTER_FLAG_TSYNC_ESRCH, uintptr(unsafe.Pointer(&prog)))
	if e != 0 {
		t.Fatalf("cannot install a seccomp filter: %v", e)
	}
	threads, free := make(chan int, 64), make(chan struct{})
	go func() {
		for {
			var n struct { // struct seccomp_notif
				id         uint64
				pid, flags uint32
				data       [64]byte
			}
			if _, _, e := unix.Syscall(unix.SYS_IOCTL, fd, seccompReceive, uintptr(unsafe.Pointer(&n))); e != 0 {
				continue // the thread was killed before
			}
			threads <- int(n.pid)
			go func() {
				<-free
				answer := struct { // struct seccomp_notif_resp
					id    uint64
					val   int64
					errno int32
					flags uint32
				}{id: n.id, flags: 1} // SECCOMP_USER_NOTIF_FLAG_CONTINUE
				unix.Syscall(unix.SYS_IOCTL, fd, seccompSend, uintptr(unsafe.Pointer(&answer)))
			}()
		}
	}()
	return threads, func() { close(free) }
}

// Requests of ioctl(2) from linux/seccomp.h.
const (
	seccompReceive = 0xc0502100 // SECCOMP_IOCTL_NOTIF_RECV
	seccompSend    = 0xc0182101 // SECCOMP_IOCTL_NOTIF_SEND
)
