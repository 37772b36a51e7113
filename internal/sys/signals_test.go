// SPDX-License-Identifier: Apache-2.0

package sys

import (
	"os"
	"os/exec"
	"runtime"
	"strconv"
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
	out, err := exec.Command("awk", "/^SigIgn/ {print $2}", "/proc/self/status").Output()
	testenv.Must(t, err)
	childs, err := strconv.ParseUint(strings.TrimSpace(string(out)), 16, 64)
	testenv.Must(t, err)
	for _, sig := range ignored {
		if childs>>(sig-1)&1 != 0 {
			t.Errorf("a child ignores %v", sig)
		}
	}
}
