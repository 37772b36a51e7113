// SPDX-License-Identifier: Apache-2.0

package sys

import (
	"errors"
	"os"
	"runtime"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/gateway-init/gateway-init/internal/testenv"
)

func threadCount(t *testing.T) int {
	t.Helper()
	tasks, err := os.ReadDir("/proc/self/task")
	testenv.Must(t, err)
	return len(tasks)
}

// TestWarmThreads checks that the threads stay. At the pids limit there are no
// others.
func TestWarmThreads(t *testing.T) {
	if !testenv.Inside(t, 0) {
		return
	}
	WarmThreads(24)
	testenv.ThreadsIdle(t)
	before := threadCount(t)
	if before < 24 {
		t.Fatalf("%d threads", before)
	}
	// Each of these goroutines has its own thread, and no thread is new.
	ready, release := make(chan struct{}), make(chan struct{})
	for range 20 {
		go func() {
			runtime.LockOSThread()
			defer runtime.UnlockOSThread()
			ready <- struct{}{}
			<-release
		}()
	}
	for range 20 {
		<-ready
	}
	if after := threadCount(t); after > before {
		t.Errorf("%d threads became %d", before, after)
	}
	close(release)
}

func TestAllThreads(t *testing.T) {
	if !testenv.Inside(t, 0) {
		return
	}
	WarmThreads(5)
	testenv.Must(t, AllThreads("prctl", unix.SYS_PRCTL, unix.PR_SET_TIMERSLACK, 123456, 0, 0, 0))
	testenv.Must(t, AllThreads("prctl", unix.SYS_PRCTL, unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
	tasks, err := os.ReadDir("/proc/self/task")
	testenv.Must(t, err)
	for _, task := range tasks {
		if f := testenv.Status(t, "/proc/self/task/"+task.Name()+"/status"); f["NoNewPrivs"] != "1" {
			t.Errorf("thread %s was left out", task.Name())
		}
	}
	err = AllThreads("prctl", unix.SYS_PRCTL, 1<<20, 0, 0, 0, 0)
	if call := (*os.SyscallError)(nil); !errors.Is(err, unix.EINVAL) || !errors.As(err, &call) || call.Syscall != "prctl" {
		t.Errorf("got %v", err)
	}
}

// TestCaps checks a set with bits above 32, of which no right can be regained.
func TestCaps(t *testing.T) {
	if !testenv.Inside(t, 0) {
		return
	}
	const set = 1<<unix.CAP_CHOWN | 1<<unix.CAP_CHECKPOINT_RESTORE
	testenv.Must(t, SetCaps(set))
	if got, err := Permitted(); err != nil || got != set {
		t.Errorf("got %x %v, want %x", got, err, uint64(set))
	}
	if err := SetCaps(set | 1<<unix.CAP_KILL); !errors.Is(err, unix.EPERM) {
		t.Errorf("regained: %v", err)
	}
	if err := NoCore(); err != nil {
		t.Errorf("lowering the core limit: %v", err)
	}
	testenv.Must(t, AllThreads("prctl", unix.SYS_PRCTL, unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)) // for the filter
	testenv.Refuse(t, unix.EPERM, unix.SYS_CAPGET)
	if _, err := Permitted(); !errors.Is(err, unix.EPERM) {
		t.Errorf("no capget: %v", err)
	}
}
