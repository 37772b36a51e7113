// Package forward hands signals on to one process, or to a process group, from
// a handler of a few instructions: no goroutine wakes up for a signal, none is
// lost in a full channel, and those are handed on too that os/signal never sees
// (SIGPROF, SIGURG, 32 to 34).
//
// It takes the signals away from Go's runtime. A program that uses it must not
// need them: no os/signal, no runtime profiles, no recovery from a nil pointer,
// and asyncpreemptoff=1 if SIGURG is to be handed on. A fault of the program's
// own ends it by that signal, without a trace.
package forward

import (
	"math/bits"
	"sync/atomic"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Last is the highest signal number (signal(7): SIGRTMAX).
const Last = 64

// What the handler reads and writes. Bit n-1 of a set is signal n.
var (
	target int32           // as in kill(2): a pid, or minus a group; 0: hold
	pidfd  int32           // of a target that is a process, or -1 (PidfdOpen failed, a group)
	held   uint64          // signals that came meanwhile
	seen   uint64          // signals that came since Seen
	table  [Last + 1]uint8 // what each becomes; 0: nothing
)

// pointers returns where the assembly's handler and its restorer are. A func
// value of Go's would lead to a wrapper, which expects a goroutine.
func pointers() (handler, restore uint64)

// action is struct sigaction as the kernel has it (x86-64, arm64).
type action struct{ handler, flags, restorer, mask uint64 }

// Of sa_flags (sigaction(2)); not in x/sys.
const (
	sigInfo  = 0x00000004 // SA_SIGINFO: the kernel says what kind of signal it is
	onStack  = 0x08000000 // SA_ONSTACK: a goroutine's stack is too small
	restorer = 0x04000000 // SA_RESTORER
)

func set(sig int, a action) {
	unix.RawSyscall6(unix.SYS_RT_SIGACTION, uintptr(sig), uintptr(unsafe.Pointer(&a)), 0, 8, 0, 0)
}

// Take installs the handler for every signal that keep does not leave to
// the runtime, and gives SIGCHLD its default. What arrives is held until To says
// where it goes. SIGKILL and SIGSTOP are the kernel's.
//
// Who took a signal in the runtime's handler at that moment ends us with 128+n.
//
// The handler is not restarting: a blocking wait of the caller returns EINTR
// when a signal came on its thread.
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

// To hands on what was held, and from now on every signal as it comes, to the
// process pid or to the process group that it leads. The caller has not reaped
// it. The process is bound by a pidfd, which means nobody else after it has been
// reaped (Linux 5.3; before that, and for a group, the pid is, as with every
// init, the former child's for the instant between the wait and Hold).
func To(pid int, group bool) {
	bound := -1
	if group {
		pid = -pid
	} else if fd, err := unix.PidfdOpen(pid, 0); err == nil {
		bound = fd // close-on-exec; for as long as we live
	}
	atomic.StoreInt32(&pidfd, int32(bound))
	atomic.StoreInt32(&target, int32(pid))
	for set := atomic.SwapUint64(&held, 0); set != 0; set &= set - 1 {
		if sig := table[bits.TrailingZeros64(set)+1]; sig != 0 {
			unix.Kill(pid, unix.Signal(sig))
		}
	}
}

// Hold keeps signals back again.
func Hold() { atomic.StoreInt32(&target, 0) }

// Seen returns the signals that came since the last call: bit n-1 is signal n.
func Seen() uint64 { return atomic.SwapUint64(&seen, 0) }
