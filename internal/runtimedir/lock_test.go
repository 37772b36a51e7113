// SPDX-License-Identifier: Apache-2.0

package runtimedir

import (
	"errors"
	"os"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/gateway-init/gateway-init/internal/testenv"
)

// TestLock checks that one supervisor has the directory until it dies, whatever its
// children keep open. The second one is told the remedy.
func TestLock(t *testing.T) {
	for name, open := range map[string]func() (*Dir, error){
		"root":    func() (*Dir, error) { return Open("/mnt/has/0711", true) },
		"no-root": func() (*Dir, error) { return OpenOwn([]string{"/mnt/has/gateway"}, testenv.Gateway, true) },
	} {
		t.Run(name, func(t *testing.T) {
			if !testenv.Inside(t, unix.CLONE_NEWNS) {
				return
			}
			container(t)
			says := "(runtime_dir)"
			if name == "no-root" {
				testenv.Must(t, errors.Join(syscall.Setgroups(nil), syscall.Setgid(gid), syscall.Setuid(testenv.Gateway)))
				says = "(XDG_RUNTIME_DIR)"
			}
			first, err := open()
			testenv.Must(t, err)
			testenv.Must(t, first.Lock())
			child, err := os.StartProcess("/bin/sleep", []string{"sleep", "60"}, &os.ProcAttr{Dir: "/", Files: []*os.File{first.File, nil, nil}})
			testenv.Must(t, err)
			defer func() { child.Kill(); child.Wait() }()
			second, err := open()
			testenv.Must(t, err)
			if err := second.Lock(); err == nil || !strings.Contains(err.Error(), "another gateway-init runs in "+first.Path) || !strings.Contains(err.Error(), says) {
				t.Errorf("a second one: %v", err)
			}
			testenv.Must(t, first.lock.Close()) // as the kernel does at its death
			testenv.Must(t, second.Lock())
		})
	}
}

// TestLockFails checks that a directory that cannot be locked is refused.
func TestLockFails(t *testing.T) {
	for name, call := range map[string]uint32{"no-flock": unix.SYS_FLOCK, "no-open": unix.SYS_OPENAT} {
		t.Run(name, func(t *testing.T) {
			if !testenv.Inside(t, unix.CLONE_NEWNS) {
				return
			}
			container(t)
			d, err := Open("/mnt/has/ours", true)
			testenv.Must(t, err)
			testenv.Refuse(t, unix.EIO, call)
			if err := d.Lock(); !errors.Is(err, syscall.EIO) {
				t.Errorf("got %v", err)
			}
		})
	}
}
