// SPDX-License-Identifier: Apache-2.0

package procfs

import (
	"errors"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/gateway-init/gateway-init/internal/testenv"
)

// TestChildren checks that the children of all threads are listed.
func TestChildren(t *testing.T) {
	var want []int
	for range 2 { // each from a thread of its own
		pid := make(chan int)
		done := make(chan bool)
		t.Cleanup(func() { close(done) })
		go func() {
			runtime.LockOSThread() // never unlocked, so the next one is another thread
			cmd := exec.Command("/bin/sleep", "100")
			if err := cmd.Start(); err != nil {
				t.Error(err)
			}
			pid <- cmd.Process.Pid
			<-done
			cmd.Process.Kill()
			cmd.Wait()
		}()
		want = append(want, <-pid)
	}
	got, err := Children(os.Getpid(), 100)
	for _, pid := range want {
		if err != nil || !slices.Contains(got, pid) {
			t.Errorf("got %v, %v, without %d", got, err, pid)
		}
	}
	if _, err := Children(os.Getpid(), 1); err == nil || !strings.Contains(err.Error(), "more than 1 children") {
		t.Errorf("beyond the bound: %v", err)
	}
	if none, err := Children(want[0], 10); err != nil || len(none) != 0 {
		t.Errorf("of a sleeper: %v, %v", none, err)
	}
	if _, err := Children(1<<30, 10); !IsGone(err) {
		t.Errorf("of nobody: %v", err)
	}
}

// TestChildrenForged checks lists with other text, and kernels without a list.
func TestChildrenForged(t *testing.T) {
	if !testenv.Inside(t, unix.CLONE_NEWNS) {
		return
	}
	testenv.Must(t, unix.Mount("none", "/proc", "tmpfs", 0, ""))
	testenv.Must(t, os.MkdirAll("/proc/7/task/7", 0o755))
	const stat = " (x) S 7 7 7 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 100 0 0"
	testenv.Must(t, errors.Join(os.Mkdir("/proc/8", 0o755), os.Mkdir("/proc/9", 0o755), os.Mkdir("/proc/self.txt", 0o755),
		os.WriteFile("/proc/8/stat", []byte("8"+stat), 0o600), os.WriteFile("/proc/9/stat", []byte("9"+strings.Replace(stat, "S 7", "S 1", 1)), 0o600)))
	if pids, err := Children(7, 10); err != nil || !slices.Equal(pids, []int{8}) {
		t.Errorf("no list: %v, %v", pids, err)
	}
	if _, err := Children(7, 0); err == nil || !strings.Contains(err.Error(), "more than 0 children") {
		t.Errorf("no list, beyond the bound: %v", err)
	}
	testenv.Must(t, os.WriteFile("/proc/7/task/7/children", []byte("8 9x "), 0o600))
	if _, err := Children(7, 10); err == nil {
		t.Errorf("no number: %v", err)
	}
	testenv.Must(t, os.WriteFile("/proc/7/task/7/children", []byte(strings.Repeat("8 ", 1000)), 0o600))
	if _, err := Children(7, 10); err == nil {
		t.Errorf("without end: %v", err)
	}
}
