// SPDX-License-Identifier: Apache-2.0

package boot

import (
	"errors"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/gateway-init/gateway-init/internal/advice"
	"github.com/gateway-init/gateway-init/internal/config"
	"github.com/gateway-init/gateway-init/internal/environ"
	"github.com/gateway-init/gateway-init/internal/fsafe"
	"github.com/gateway-init/gateway-init/internal/runtimedir"
	"github.com/gateway-init/gateway-init/internal/sys"
	"github.com/gateway-init/gateway-init/internal/testenv"
	"github.com/gateway-init/gateway-init/internal/users"
	"github.com/gateway-init/gateway-init/tokenfile"
)

// TestRuntimeIsTaken checks that a second gateway-init in a living one's directory
// ends before it touches anything there.
func TestRuntimeIsTaken(t *testing.T) {
	for name, rootless := range map[string]bool{"root": false, "no-root": true} {
		t.Run(name, func(t *testing.T) {
			if !testenv.Inside(t, unix.CLONE_NEWNS) {
				return
			}
			testenv.Must(t, unix.Mount("none", "/mnt", "tmpfs", 0, "mode=1777"))
			user := users.User{UID: testenv.Gateway, GID: testenv.Gateway}
			b := &bootstrap{rootless: rootless, users: identities{gateway: user}, env: environ.List{"XDG_RUNTIME_DIR=/mnt"},
				cfg: &config.Config{RuntimeDir: "/mnt/gateway-init", RequireTmpfs: true}}
			if rootless {
				testenv.Must(t, errors.Join(syscall.Setgroups(nil), syscall.Setgid(testenv.Gateway), syscall.Setuid(testenv.Gateway)))
			}
			dir, err := b.openRuntime()
			testenv.Must(t, err)
			testenv.Must(t, os.WriteFile(dir.Path+"/"+tokenfile.Name, []byte("x"), 0o400))
			if _, err := b.openRuntime(); err == nil || !strings.Contains(err.Error(), "another gateway-init runs in /mnt/gateway-init") {
				t.Errorf("a second one: %v", err)
			}
			if text, err := os.ReadFile(dir.Path + "/" + tokenfile.Name); err != nil || string(text) != "x" {
				t.Errorf("the token is %q, %v", text, err)
			}
		})
	}
}

// TestNoSpaceAdvice checks that boot takes a directory made by the advice about a
// full one. Without root, a root-owned mount would be refused.
func TestNoSpaceAdvice(t *testing.T) {
	for name, want := range map[string]string{
		"root":    advice.Tmpfs("/mnt/gateway-init", "mode=0700,size=1m"),
		"no-root": advice.Tmpfs("/mnt/gateway-init", "uid=54321,mode=0700,size=1m"),
	} {
		t.Run(name, func(t *testing.T) {
			if !testenv.Inside(t, unix.CLONE_NEWNS) {
				return
			}
			testenv.Must(t, unix.Mount("none", "/mnt", "tmpfs", 0, "mode=1777,size=16k"))
			open := func() (*runtimedir.Dir, error) {
				return runtimedir.Open("/mnt/gateway-init", true)
			}
			if name == "no-root" {
				testenv.Must(t, errors.Join(syscall.Setgroups(nil), syscall.Setgid(testenv.Gateway), syscall.Setuid(testenv.Gateway)))
				open = func() (*runtimedir.Dir, error) {
					return runtimedir.OpenOwn([]string{"/mnt/gateway-init"}, testenv.Gateway, true)
				}
			}
			dir, err := open()
			testenv.Must(t, err)
			for what, err := range map[string]error{"space": checkSpace(dir), "advice": addRemedy(syscall.ENOSPC, dir)} {
				if err == nil || !strings.HasSuffix(err.Error(), want) {
					t.Errorf("%s: %v", what, err)
				}
			}
		})
	}
}

// TestAddRemedy checks that an error about a file in the way has one remedy.
func TestAddRemedy(t *testing.T) {
	planted := &fsafe.UnsafeError{UnsafePath: "/x", Problem: "is a device"}
	for name, c := range map[string]struct {
		err  error
		want string
	}{
		"in-the-way":    {planted, "/x: is a device: remove it"},
		"wrapped":       {fmt.Errorf("cannot write the token: %w", planted), "cannot write the token: /x: is a device: remove it"},
		"not-ours":      {&os.PathError{Op: "open", Path: "/x", Err: syscall.EACCES}, "open /x: permission denied: remove it"},
		"named-already": {fmt.Errorf("cannot write the token: %w: %w", planted, fsafe.ErrRemove), "cannot write the token: /x: is a device: remove it"},
		"text-alike":    {&fsafe.UnsafeError{UnsafePath: "/x", Problem: "is not remove it"}, "/x: is not remove it: remove it"},
		"another":       {syscall.EIO, "input/output error"},
	} {
		t.Run(name, func(t *testing.T) {
			err := addRemedy(c.err, &runtimedir.Dir{})
			if err.Error() != c.want || !errors.Is(err, c.err) {
				t.Errorf("got %v, want %s", err, c.want)
			}
			if again := addRemedy(err, &runtimedir.Dir{}); again.Error() != c.want {
				t.Errorf("the second time: %v", again)
			}
		})
	}
}

// TestSubreaperIsSilent checks that a root gateway-init sends no signal to a plain
// one that started it. The command would get the signal.
func TestSubreaperIsSilent(t *testing.T) {
	const below = "GATEWAYINIT_TEST_BELOW=1"
	if os.Getenv(below[:len(below)-2]) != "" {
		if !(&bootstrap{}).subreaper() {
			t.Error("it is PID 1")
		}
		return
	}
	if !testenv.Inside(t, unix.CLONE_NEWPID) {
		return
	}
	got := make(chan os.Signal, 1)
	signal.Notify(got, sharedSignal)
	testenv.Must(t, os.WriteFile("/proc/self/comm", []byte("gateway-init"), 0))
	for _, want := range []bool{false, true} {
		if want { // as one in another container would
			testenv.Must(t, sys.Kill(1, sharedSignal))
		}
		child, err := os.StartProcess("/proc/self/exe", []string{"boot.test", "-test.run=^TestSubreaperIsSilent$"},
			&os.ProcAttr{Env: append(os.Environ(), below), Files: []*os.File{nil, os.Stdout, os.Stderr}})
		testenv.Must(t, err)
		if st, err := child.Wait(); err != nil || !st.Success() {
			t.Fatalf("%v, %v", st, err)
		}
		select {
		case <-got:
			if !want {
				t.Error("it was told")
			}
		case <-time.After(50 * time.Millisecond):
			if want {
				t.Error("a signal would not have been seen")
			}
		}
	}
}
