// SPDX-License-Identifier: Apache-2.0

package sys

import (
	"os"
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Offsets in struct seccomp_data. The low half of an argument comes first on the
// processors that Go has for Linux with 64 bits and this program is built for.
const (
	filterNumber = 0
	filterArch   = 4
	filterArg0   = 16
	filterArg1   = 24
	filterArg2   = 32
)

// RelayOnly keeps every thread of this process from starting a program or a process,
// from tracing another one, and from sockets other than TCP and sock_diag(7), with a
// seccomp filter. It does not keep it from much else, because what the process may open
// depends on its user. It takes no_new_privs. An engine may refuse it (EPERM, EINVAL).
func RelayOnly() error {
	filter := relayFilter()
	prog := unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]}
	failed, _, errno := unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, unix.SECCOMP_FILTER_FLAG_TSYNC, uintptr(unsafe.Pointer(&prog)))
	runtime.KeepAlive(filter)
	switch {
	case errno != 0:
		return os.NewSyscallError("seccomp", errno)
	case failed != 0: // a thread with another filter
		return os.NewSyscallError("seccomp", unix.EBUSY)
	}
	return nil
}

// assembly builds a filter whose jumps are all to the next few instructions.
type assembly []unix.SockFilter

func (a *assembly) load(offset uint32) {
	*a = append(*a, unix.SockFilter{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: offset})
}

// skipUnless skips n instructions unless the loaded number is k.
func (a *assembly) skipUnless(k uint32, n uint8) {
	*a = append(*a, unix.SockFilter{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: k, Jf: n})
}

// skipIf skips n instructions if the loaded number is k.
func (a *assembly) skipIf(k uint32, n uint8) {
	*a = append(*a, unix.SockFilter{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: k, Jt: n})
}

// skipIfSet skips n instructions if the loaded number has one of the bits.
func (a *assembly) skipIfSet(bits uint32, n uint8) {
	*a = append(*a, unix.SockFilter{Code: unix.BPF_JMP | unix.BPF_JSET | unix.BPF_K, K: bits, Jt: n})
}

func (a *assembly) and(bits uint32) {
	*a = append(*a, unix.SockFilter{Code: unix.BPF_ALU | unix.BPF_AND | unix.BPF_K, K: bits})
}

func (a *assembly) fail(errno unix.Errno) {
	*a = append(*a, unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ERRNO | uint32(errno)})
}

func (a *assembly) end(action uint32) {
	*a = append(*a, unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: action})
}

// relayFilter returns the filter of RelayOnly.
func relayFilter() []unix.SockFilter {
	var a assembly
	a.load(filterArch)
	a.skipIf(nativeArch, 1)
	a.end(unix.SECCOMP_RET_KILL_PROCESS)
	a.load(filterNumber)
	if foreignBit != 0 {
		a.skipUnlessSet(foreignBit, 1)
		a.fail(unix.ENOSYS)
	}
	for _, nr := range forbiddenCalls {
		a.skipUnless(nr, 1)
		a.fail(unix.EPERM)
	}
	a.skipUnless(unix.SYS_CLONE3, 1) // Go and libc then take clone(2), whose flags can be read
	a.fail(unix.ENOSYS)
	a.skipUnless(unix.SYS_CLONE, 4)
	a.load(filterArg0)
	a.skipIfSet(unix.CLONE_THREAD, 1)
	a.fail(unix.EPERM)
	a.end(unix.SECCOMP_RET_ALLOW)
	a.skipIf(unix.SYS_SOCKET, 1)
	a.end(unix.SECCOMP_RET_ALLOW)
	a.allowSockets()
	return a
}

// allowSockets ends a filter for socket(2).
func (a *assembly) allowSockets() {
	a.load(filterArg0)
	a.skipUnless(unix.AF_NETLINK, 4)
	a.load(filterArg2)
	a.skipUnless(unix.NETLINK_SOCK_DIAG, 1)
	a.end(unix.SECCOMP_RET_ALLOW)
	a.fail(unix.EPERM)
	a.skipIf(unix.AF_INET, 2)
	a.skipIf(unix.AF_INET6, 1)
	a.fail(unix.EPERM)
	a.load(filterArg1)
	a.and(^uint32(unix.SOCK_NONBLOCK | unix.SOCK_CLOEXEC))
	a.skipIf(unix.SOCK_STREAM, 1)
	a.fail(unix.EPERM)
	a.load(filterArg2)
	a.skipIf(unix.IPPROTO_TCP, 2)
	a.skipIf(0, 1)
	a.fail(unix.EPERM) // MPTCP and SCTP among them
	a.end(unix.SECCOMP_RET_ALLOW)
}

// skipUnlessSet skips n instructions unless the loaded number has one of the bits.
func (a *assembly) skipUnlessSet(bits uint32, n uint8) {
	*a = append(*a, unix.SockFilter{Code: unix.BPF_JMP | unix.BPF_JSET | unix.BPF_K, K: bits, Jf: n})
}
