// SPDX-License-Identifier: Apache-2.0

package sweep

import (
	"errors"
	"io/fs"
	"os"
	"slices"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/gateway-init/gateway-init/internal/sys"
	"github.com/gateway-init/gateway-init/internal/testenv"
)

// TestChildren checks that all of our children are found with the kernel's list and
// without it, zombies too, and no other process.
func TestChildren(t *testing.T) {
	if !testenv.Inside(t, unix.CLONE_NEWPID) {
		return
	}
	var want []int
	for range 20 {
		want = append(want, run(t, gateway, "exec sleep 1000"))
	}
	zombie := run(t, stranger, "exit 0")
	want = append(want, zombie)
	testenv.Eventually(t, "a zombie", func() bool { pid, err := sys.Peek(); return err == nil && pid == zombie })
	grandchild := run(t, gateway, "sleep 1000 & wait")
	want = append(want, grandchild)
	testenv.Eventually(t, "a grandchild", func() bool { return count(t, gateway) == 22 })
	slices.Sort(want)
	for _, way := range []string{"by-list", "by-scan"} {
		got, err := Children()
		if slices.Sort(got); err != nil || !slices.Equal(got, want) {
			t.Errorf("%s: got %v %v, want %v", way, got, err, want)
		}
		if way == "by-list" {
			withoutList(t)
		}
	}
	if alive, err := NewByUID(0, true).Others(stranger); err != nil || !alive {
		t.Errorf("a zombie does not count: %v %v", alive, err)
	}
}

// withoutList hides the list of PID 1's children.
func withoutList(t *testing.T) {
	t.Helper()
	d := t.TempDir()
	testenv.Must(t, errors.Join(os.Mkdir(d+"/1", 0o755), unix.Mount(d, "/proc/1/task", "", unix.MS_BIND, "")))
}

// TestWithoutList checks that processes are found in a kernel without
// CONFIG_PROC_CHILDREN (gVisor), which keeps no list.
func TestWithoutList(t *testing.T) {
	if !testenv.Inside(t, unix.CLONE_NEWPID) {
		return
	}
	run(t, gateway, "setsid sleep 1000")
	testenv.Eventually(t, "it runs", func() bool { return count(t, gateway) > 0 })
	withoutList(t)
	s := NewByUID(gateway, true)
	if alive, err := s.Alive(); err != nil || !alive {
		t.Errorf("got %v %v", alive, err)
	}
	swept(t, s)
}

// TestErrors checks that a process that cannot be seen is an error.
func TestErrors(t *testing.T) {
	if !testenv.Inside(t, unix.CLONE_NEWPID) {
		return
	}
	s := NewByUID(gateway, true)
	task := func(do func() error) {
		t.Helper()
		testenv.Must(t, do())
		alive, err := s.Alive()
		if alive || err == nil || s.Sweep() == nil {
			t.Errorf("got %v %v, sweep %v", alive, err, s.Sweep())
		}
		s.Signal(gateway, unix.SIGTERM) // reaches no process
	}
	testenv.Must(t, unix.Mount("none", "/proc", "tmpfs", 0, ""))
	task(func() error { return nil }) // no /proc/1/task
	task(func() error { return os.MkdirAll("/proc/1/task/1/children", 0o755) })
	task(func() error {
		return errors.Join(os.Remove("/proc/1/task/1/children"), os.WriteFile("/proc/1/task/1/children", []byte("7 8 "), 0o600),
			os.MkdirAll("/proc/7/status", 0o755), os.MkdirAll("/proc/8", 0o755)) // 8 has ended
	})
	task(func() error {
		return errors.Join(os.Remove("/proc/7/status"), os.WriteFile("/proc/7/status", []byte("Name:\tx\nState:\tS (sleeping)\nUid:\t54321\t1\t1\t1\nGid:\t1\t1\t1\t1\nThreads:\t1\n"), 0o600))
	})
	if err := os.Remove("/proc/1/task/1/children"); err != nil {
		t.Fatal(err)
	}
	task(func() error { return os.Mkdir("/proc/7/stat", 0o755) }) // the scan finds it and cannot read it
	testenv.Must(t, errors.Join(os.Remove("/proc/7/stat"),
		os.WriteFile("/proc/7/stat", []byte("7 (x) S 1 7 7 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 100 0 0"), 0o600)))
	testenv.Must(t, os.WriteFile("/proc/7/status", []byte("Name:\tx\nState:\tS (sleeping)\nPPid:\t1\nUid:\t54321\t1\t1\t1\nGid:\t1\t1\t1\t1\nThreads:\t1\n"), 0o600))
	if alive, err := s.Alive(); !alive || err != nil {
		t.Errorf("by scan: %v %v", alive, err)
	}
	testenv.Must(t, s.Sweep()) // no process has this pid, which is no error
	testenv.Refuse(t, unix.EPERM, unix.SYS_KILL)
	if err := s.Sweep(); !errors.Is(err, unix.EPERM) {
		t.Errorf("kill refused: %v", err)
	}
}

// TestScanErrors checks that a missing /proc is an error.
func TestScanErrors(t *testing.T) {
	if !testenv.Inside(t, unix.CLONE_NEWPID) {
		return
	}
	d := t.TempDir()
	testenv.Must(t, errors.Join(unix.Chroot(d), os.Chdir("/")))
	if pids, err := Children(); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("got %v %v", pids, err)
	}
}
