// SPDX-License-Identifier: Apache-2.0

package sys

import (
	"os"
	"runtime"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

// WarmThreads makes the Go runtime create n threads now. A goroutine that is locked
// to its thread keeps it while it waits, so n goroutines need n threads.
// They stay idle afterwards. At the pids limit (a fork bomb by the agent)
// clone(2) fails, and a Go program that needs one more thread dies of it; with
// these in reserve it needs none.
func WarmThreads(n int) {
	var parked, done sync.WaitGroup
	release := make(chan struct{})
	parked.Add(n)
	done.Add(n)
	for range n {
		go func() {
			defer done.Done()
			runtime.LockOSThread()
			defer runtime.UnlockOSThread()
			parked.Done()
			<-release
		}()
	}
	parked.Wait()
	close(release)
	done.Wait()
}

// AllThreads does one system call on every thread of the process. Capabilities
// and most prctl(2) settings belong to a thread, not to a process. It fails
// with ENOTSUP in a binary that links cgo. No argument may be a pointer (see
// SetCaps).
func AllThreads(name string, trap, a1, a2, a3, a4, a5 uintptr) error {
	_, _, errno := syscall.AllThreadsSyscall6(trap, a1, a2, a3, a4, a5, 0)
	if errno != 0 {
		return os.NewSyscallError(name, errno)
	}
	return nil
}

// NoNewPrivs sets no_new_privs in every thread (prctl(2), PR_SET_NO_NEW_PRIVS).
func NoNewPrivs() error {
	return AllThreads("prctl", unix.SYS_PRCTL, unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
}
