// SPDX-License-Identifier: Apache-2.0

package sys

import (
	"os"
	"os/exec"
	"runtime"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/gateway-init/gateway-init/internal/testenv"
)

// TestIgnoreSignals checks that ignored signals do not end PID 1 while its first thread
// has all of them blocked, and that a child does not ignore them.
func TestIgnoreSignals(t *testing.T) {
	if !testenv.Inside(t, unix.CLONE_NEWPID) {
		return
	}
	ignored := []unix.Signal{unix.SIGILL, unix.SIGTRAP, unix.SIGABRT, unix.SIGSTKFLT, unix.SIGSYS}
	IgnoreSignals(ignored...)
	testenv.Eventually(t, "signals blocked in the first thread", func() bool {
		blocked := make(chan bool)
		go func() { // it ends locked, so its thread ends, unless that is the first
			runtime.LockOSThread()
			var all unix.Sigset_t
			all.Val[0] = ^uint64(0)
			blocked <- unix.PthreadSigmask(unix.SIG_SETMASK, &all, nil) == nil && unix.Gettid() == os.Getpid()
		}()
		return <-blocked
	})
	for _, sig := range ignored {
		testenv.Must(t, Kill(os.Getpid(), sig))
	}
	out, err := exec.Command("cat", "/proc/self/status").Output()
	testenv.Must(t, err)
	if !strings.Contains(string(out), "\nSigIgn:\t0000000000000000\n") {
		t.Errorf("a child ignores signals:\n%s", out)
	}
}
