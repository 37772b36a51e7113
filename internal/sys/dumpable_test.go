// SPDX-License-Identifier: Apache-2.0

package sys

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/gateway-init/gateway-init/internal/testenv"
)

const suidDumpable = "/proc/sys/fs/suid_dumpable"

// setSuidDumpable sets fs.suid_dumpable to 1 and returns a function that sets it back. The
// value holds for the whole machine, so the caller sets it back at once. If this process is
// killed before, a shell does it.
func setSuidDumpable(t *testing.T) (setBack func()) {
	t.Helper()
	old, err := os.ReadFile(suidDumpable)
	testenv.Must(t, err)
	keeper := exec.Command("/bin/sh", "-c", `read -r x; printf %s "$0" >`+suidDumpable, strings.TrimSpace(string(old)))
	died, err := keeper.StdinPipe()
	testenv.Must(t, err)
	testenv.Must(t, keeper.Start())
	f, err := os.OpenFile(suidDumpable, os.O_WRONLY, 0)
	if err == nil {
		_, err = f.WriteString("1")
	}
	setBack = func() {
		done := make(chan error)
		go func() { // on a thread of root
			_, err := f.WriteAt(old, 0)
			f.Close()
			done <- err
		}()
		if err := <-done; err != nil {
			t.Errorf("cannot set %s back: %v", suidDumpable, err)
		}
	}
	t.Cleanup(func() {
		io.WriteString(died, "\n")
		testenv.Must(t, keeper.Wait())
	})
	if err != nil { // a container of an engine
		t.Skipf("cannot set fs.suid_dumpable: %v", err)
	}
	return setBack
}

// newDisturber starts a process of the user, and returns a function that reports whether it
// could change a file of the calling thread in /proc: its OOM score. The kernel gives these
// files to the user of the thread's effective ids while the process is dumpable. The
// process is started before, because a fork to another user would end that, too.
func newDisturber(t *testing.T) (disturbs func() bool) {
	t.Helper()
	sh := exec.Command("/bin/sh", "-c", `read -r file; [ -e "$file" ] || echo missing; if (echo 1000 >"$file") 2>/dev/null; then echo yes; else echo no; fi`)
	sh.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: gateway, Gid: gateway}}
	in, err := sh.StdinPipe()
	testenv.Must(t, err)
	out, err := sh.StdoutPipe()
	testenv.Must(t, err)
	testenv.Must(t, sh.Start())
	return func() bool {
		fmt.Fprintf(in, "/proc/%d/task/%d/oom_score_adj\n", os.Getpid(), unix.Gettid())
		text, err := io.ReadAll(out)
		if err = errors.Join(err, sh.Wait()); err != nil || string(text) != "yes\n" && string(text) != "no\n" {
			t.Errorf("the user's process printed %q, %v", text, err)
		}
		return string(text) == "yes\n"
	}
}

// TestThreadWithIDsOfAUserIsNotDumpable checks that this process is not dumpable while one
// of its threads has the effective ids of a user, and afterwards, also with
// fs.suid_dumpable=1. The control takes the ids without AsUser.
func TestThreadWithIDsOfAUserIsNotDumpable(t *testing.T) {
	if !testenv.Inside(t, 0) {
		return
	}
	for name, with1 := range map[string]bool{"as-it-is": false, "suid_dumpable=1": true} {
		testenv.Must(t, SetDumpable(false))
		disturbs, setBack := newDisturber(t), func() {}
		if with1 {
			setBack = setSuidDumpable(t)
		}
		err := AsUser(t.Context(), gateway, gateway, nil, func() error {
			setBack()
			if is, err := Dumpable(); err != nil || is {
				t.Errorf("%s: dumpable: %v, %v", name, is, err)
			}
			if disturbs() {
				t.Errorf("%s: the user changed the thread's OOM score", name)
			}
			return nil
		})
		testenv.Must(t, err)
		if is, err := Dumpable(); err != nil || is {
			t.Errorf("%s, afterwards: dumpable: %v, %v", name, is, err)
		}
	}

	disturbs, setBack := newDisturber(t), setSuidDumpable(t)
	ended := make(chan error)
	go func() {
		runtime.LockOSThread() // and never unlocked, so the thread ends with its ids
		err := takeEffective(gateway, gateway)
		setBack()
		if is, errIs := Dumpable(); err == nil && (errIs != nil || !is || !disturbs()) {
			err = fmt.Errorf("the control is not dumpable or its OOM score was not changed: %v, %v", is, errIs)
		}
		ended <- err
	}()
	testenv.Must(t, <-ended)
}

// TestAsUserEndsDumpable checks that a process that was dumpable is not after AsUser: it may
// have had another user's secret, and two calls at once could not tell what it was before.
func TestAsUserEndsDumpable(t *testing.T) {
	if !testenv.Inside(t, 0) {
		return
	}
	testenv.Must(t, SetDumpable(true))
	testenv.Must(t, AsFileOwner(gateway, gateway, func() error { return nil }))
	if is, err := Dumpable(); err != nil || is {
		t.Errorf("dumpable: %v, %v", is, err)
	}
}
