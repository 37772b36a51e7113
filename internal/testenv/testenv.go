// SPDX-License-Identifier: Apache-2.0

// Package testenv gives tests a real kernel in a state of their choice: a tmpfs
// of a few pages, namespaces of their own, a system call that is refused. It is
// for tests only; nothing that is shipped imports it.
package testenv

import (
	"context"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// Users that no machine has; tests may run processes and own files as them.
const (
	Gateway  = 54321
	Stranger = 54322
)

// Root skips a test that needs root. CI runs as root, where a skip is a failure.
func Root(t testing.TB) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root")
	}
}

// Must ends the test if err is not nil.
func Must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// deadline bounds every wait; it is far beyond what a loaded machine needs.
const deadline = 20 * time.Second

// Eventually waits until ok returns true.
func Eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(deadline); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("still not: %s", what)
		}
	}
}

// Executed waits until pid, which has just been started, has its arguments and its
// environment. The parent's Start returns as soon as execve(2) has closed the
// descriptors, and /proc shows neither for a moment after that.
func Executed(t testing.TB, pid int) {
	t.Helper()
	Eventually(t, "the program has its arguments", func() bool {
		line, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
		return err == nil && len(line) > 0
	})
}

// ThreadsIdle waits until all other threads of this process sleep. A thread that has
// just been released is not in the runtime's reserve before it sleeps, and on a busy
// machine that takes a while.
func ThreadsIdle(t testing.TB) {
	t.Helper()
	Eventually(t, "the other threads sleep", func() bool {
		tasks, err := os.ReadDir("/proc/self/task")
		Must(t, err)
		running := 0
		for _, task := range tasks {
			data, err := os.ReadFile("/proc/self/task/" + task.Name() + "/status")
			if err == nil && !strings.Contains(string(data), "\nState:\tS") {
				running++
			}
		}
		return running <= 1 // this one
	})
}

// Within returns a context that ends after d, or with the test.
func Within(t testing.TB, d time.Duration) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), d)
	t.Cleanup(cancel)
	return ctx
}

// Dir opens a directory for reading. It is closed at the end of the test.
func Dir(t testing.TB, path string) *os.File {
	t.Helper()
	f, err := os.Open(path)
	Must(t, err)
	t.Cleanup(func() { f.Close() })
	return f
}

// Tmpfs mounts a fresh tmpfs with options such as "size=4k" or "mode=0711". No path
// leads to it. It is seen through the returned directory only, and gone when that is
// closed (fsmount(2), Linux 5.2).
func Tmpfs(t testing.TB, options ...string) *os.File {
	t.Helper()
	return mount(t, "tmpfs", options)
}

// Ramfs does the same as Tmpfs with a ramfs.
func Ramfs(t testing.TB) *os.File {
	t.Helper()
	return mount(t, "ramfs", nil)
}

func mount(t testing.TB, kind string, options []string) *os.File {
	t.Helper()
	Root(t)
	fs, err := unix.Fsopen(kind, unix.FSOPEN_CLOEXEC)
	Must(t, err)
	defer unix.Close(fs)
	for _, o := range options {
		key, value, _ := strings.Cut(o, "=")
		Must(t, unix.FsconfigSetString(fs, key, value))
	}
	Must(t, unix.FsconfigCreate(fs))
	mount, err := unix.Fsmount(fs, unix.FSMOUNT_CLOEXEC, 0)
	Must(t, err)
	defer unix.Close(mount)
	dir, err := unix.Openat(mount, ".", unix.O_DIRECTORY|unix.O_RDONLY|unix.O_CLOEXEC, 0)
	Must(t, err)
	f := os.NewFile(uintptr(dir), kind)
	t.Cleanup(func() { f.Close() })
	return f
}

// Path returns a path to name in dir that works while dir is open.
func Path(dir *os.File, name string) string {
	return fmt.Sprintf("/proc/self/fd/%d/%s", dir.Fd(), name)
}

// Status returns a process's or thread's status file (proc_pid_status(5)) as fields.
func Status(t testing.TB, path string) map[string]string {
	t.Helper()
	data, err := os.ReadFile(path)
	Must(t, err)
	return ParseStatus(data)
}

// ParseStatus returns the fields of /proc/PID/status.
func ParseStatus(data []byte) map[string]string {
	fields := map[string]string{}
	for line := range strings.Lines(string(data)) {
		key, value, _ := strings.Cut(line, ":")
		fields[key] = strings.Join(strings.Fields(value), " ")
	}
	return fields
}
