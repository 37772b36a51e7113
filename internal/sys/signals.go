// SPDX-License-Identifier: Apache-2.0

package sys

import (
	"os"
	"unsafe"

	"golang.org/x/sys/unix"
)

// CleanSignals gives the children of this thread the signals that a new program
// expects, with none blocked and none ignored. Go's fork gives every signal that has
// a handler its default back. It does not change the signals that the caller of this
// program has ignored (nohup does that) or blocked. The caller has locked its
// thread; ignored signals count for the whole process.
func CleanSignals() error {
	const ignored = 1                         // SIG_IGN
	var old, byDefault [4]uint64              // struct sigaction: SIG_DFL, no flags, empty mask
	for sig := uintptr(1); sig <= 64; sig++ { // KILL and STOP have no other action
		unix.RawSyscall6(unix.SYS_RT_SIGACTION, sig, 0, uintptr(unsafe.Pointer(&old)), 8, 0, 0)
		if old[0] == ignored {
			unix.RawSyscall6(unix.SYS_RT_SIGACTION, sig, uintptr(unsafe.Pointer(&byDefault)), 0, 8, 0, 0)
		}
	}
	var none unix.Sigset_t
	return os.NewSyscallError("rt_sigprocmask", unix.PthreadSigmask(unix.SIG_SETMASK, &none, nil))
}

// SignalMask returns the signals that the calling thread blocks: bit n-1 is signal n.
func SignalMask() (mask uint64) {
	unix.RawSyscall6(unix.SYS_RT_SIGPROCMASK, unix.SIG_SETMASK, 0, uintptr(unsafe.Pointer(&mask)), 8, 0, 0)
	return mask
}

// SetSignalMask sets the signals that the calling thread blocks. The caller has locked its
// thread.
func SetSignalMask(mask uint64) {
	unix.RawSyscall6(unix.SYS_RT_SIGPROCMASK, unix.SIG_SETMASK, uintptr(unsafe.Pointer(&mask)), 0, 8, 0, 0)
}

// IgnoreSignals makes the process ignore signals. Go's runtime does not notice, and its
// fork gives a child the default action of those that it handles all the same. A
// fault of our own ends the process even if its signal is ignored.
//
// The default action would not do for PID 1. While its first thread has a signal
// blocked and another thread has not, the kernel does not protect it
// (pid_namespaces(7); complete_signal in kernel/signal.c), and Go blocks all signals
// around a fork.
func IgnoreSignals(signals ...unix.Signal) { setActions(1, signals) } // SIG_IGN

// DefaultSignals gives signals that Go's runtime does not handle their default action.
func DefaultSignals(signals ...unix.Signal) { setActions(0, signals) } // SIG_DFL

func setActions(handler uint64, signals []unix.Signal) {
	action := [4]uint64{handler} // struct sigaction: no flags, empty mask
	for _, sig := range signals {
		unix.RawSyscall6(unix.SYS_RT_SIGACTION, uintptr(sig), uintptr(unsafe.Pointer(&action)), 0, 8, 0, 0)
	}
}

// OOMScore returns this process's oom_score_adj, and SetOOMScore sets it
// (proc_pid_oom_score_adj(5)). Raising it needs no right, and neither does lowering
// it to its old value.
func OOMScore() (string, error) {
	text, err := ReadFile(oomScore)
	return string(text), err
}

// SetOOMScore sets this process's oom_score_adj to the text that OOMScore returns.
func SetOOMScore(text string) error {
	fd, err := openRaw(oomScore, unix.O_WRONLY)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	return retry("write", func() error { _, err := unix.Write(fd, []byte(text)); return err })
}

const oomScore = "/proc/self/oom_score_adj"
