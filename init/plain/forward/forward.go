// SPDX-License-Identifier: Apache-2.0

// Package forward forwards signals to one process, or to a process group, from a
// handler of a few instructions. No goroutine wakes up for a signal, and no signal is
// lost in a full channel. It also forwards signals that os/signal never sees
// (SIGPROF, SIGURG, 32 to 34).
//
// It takes the signals away from Go's runtime, so a program that uses it must not
// need them. The program has no os/signal, no runtime profiles and no recovery from
// a nil pointer. The runtime cannot preempt a goroutine that runs a loop without a
// call, because the handler drops the SIGURG that the runtime sends for that. A fault
// of the program itself ends it by that signal, without a trace.
package forward

import (
	"math/bits"
	"sync/atomic"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Last is the highest signal number (signal(7): SIGRTMAX).
const Last = 64

// The variables that the handler reads and writes. Bit n-1 of a set is signal n.
var (
	target int32           // as in kill(2): a pid, or minus a group; 0: hold
	pidfd  int32           // of a target that is a process, or -1 (PidfdOpen failed, a group)
	held   uint64          // signals that came during a hold
	seen   uint64          // signals that came since Seen
	table  [Last + 1]uint8 // the signal that each becomes; 0: none
)

// pointers returns the addresses of the assembly's handler and its restorer. A Go
// func value would lead to a wrapper, which expects a goroutine.
func pointers() (handler, restore uint64)

// action is struct sigaction as the kernel has it (x86-64, arm64).
type action struct{ handler, flags, restorer, mask uint64 }

// Values of sa_flags (sigaction(2)), which x/sys does not have.
const (
	sigInfo  = 0x00000004 // SA_SIGINFO: the kernel tells the kind of signal
	onStack  = 0x08000000 // SA_ONSTACK: a goroutine's stack is too small
	restorer = 0x04000000 // SA_RESTORER
)

func set(sig int, a action) {
	unix.RawSyscall6(unix.SYS_RT_SIGACTION, uintptr(sig), uintptr(unsafe.Pointer(&a)), 0, 8, 0, 0)
}

// Take installs the handler for every signal that keep does not leave to the
// runtime, and gives SIGCHLD its default. A signal that arrives is held until To says
// where it goes. SIGKILL and SIGSTOP belong to the kernel.
//
// A signal that was in the runtime's handler at that moment ends us with 128+n.
//
// The handler does not restart system calls, so a blocking wait of the caller
// returns EINTR when a signal came on its thread.
func Take(rewrite func(sig int) uint8, keep func(sig int) bool) {
	handler, restore := pointers()
	a := action{handler, sigInfo | onStack | restorer, restore, ^uint64(0)}
	for sig := 1; sig <= Last; sig++ {
		switch {
		case sig == int(unix.SIGCHLD):
			set(sig, action{})
		case !keep(sig):
			table[sig] = rewrite(sig)
			set(sig, a)
		}
	}
}

// To forwards the held signals, and from now on every signal as it comes, to the
// process pid or to the process group that it leads. The caller has not reaped it.
// The process is bound by a pidfd, which means no other process after it has been
// reaped (Linux 5.3). On an older kernel, and for a group, signals go to the former
// child's pid for the instant between the wait and Hold, as with every init.
func To(pid int, group bool) {
	bound := -1
	if group {
		pid = -pid
	} else if fd, err := unix.PidfdOpen(pid, 0); err == nil {
		bound = fd // close-on-exec; open until we exit
	}
	atomic.StoreInt32(&pidfd, int32(bound))
	atomic.StoreInt32(&target, int32(pid))
	for set := atomic.SwapUint64(&held, 0); set != 0; set &= set - 1 {
		if sig := table[bits.TrailingZeros64(set)+1]; sig != 0 {
			unix.Kill(pid, unix.Signal(sig))
		}
	}
}

// Hold makes the handler hold signals again.
func Hold() { atomic.StoreInt32(&target, 0) }

// Seen returns the signals that came since the last call. Bit n-1 is signal n.
func Seen() uint64 { return atomic.SwapUint64(&seen, 0) }
