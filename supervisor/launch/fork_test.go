// SPDX-License-Identifier: Apache-2.0

package launch_test

import (
	"encoding/binary"
	"os/exec"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/gateway-init/gateway-init/internal/testenv"
	"github.com/gateway-init/gateway-init/supervisor/launch"
)

// patience is the longest time that a start may take on a loaded machine.
const patience = 20 * time.Second

// started is what launch.Start returns.
type started struct {
	p   *launch.Proc
	err error
}

// startHeld launches c while execve(2) is held, and returns the child's pid as soon as it
// has the target's ids. The report comes when the child has executed, or has ended.
func startHeld(t *testing.T, c *child, held <-chan int) (pid int, done chan started, reports chan error) {
	t.Helper()
	done, reports = make(chan started, 1), make(chan error, 1)
	go func() {
		p, err := launch.Start(c.Child, func(_ int, _ string, err error) { reports <- err })
		done <- started{p, err}
	}()
	select {
	case pid = <-held:
	case <-time.After(patience):
		t.Fatal("no execve(2)")
	}
	u := itoa(gateway)
	if got := testenv.Status(t, "/proc/"+itoa(pid)+"/status")["Uid"]; got != u+" "+u+" "+u+" "+u {
		t.Fatalf("the child has the uids %s", got)
	}
	return pid, done, reports
}

// TestChildThatCannotExecute checks that a start comes back although its child, which has
// the target's UID already, does not execute. A process of that UID can stop the child or
// take its processor time. PID 1 once slept until the child had executed.
func TestChildThatCannotExecute(t *testing.T) {
	for name, killed := range map[string]bool{"goes-on": false, "killed": true} {
		t.Run(name, func(t *testing.T) {
			if !testenv.Inside(t, 0) {
				return
			}
			asPID1(t)
			c := program(t, "true")
			held, release := testenv.Hold(t, unix.SYS_EXECVE)
			pid, done, reports := startHeld(t, c, held)
			var s started
			select {
			case s = <-done:
			case <-time.After(patience):
				t.Fatal("the start does not come back")
			}
			testenv.Must(t, s.err)
			if s.p.PID != pid {
				t.Fatalf("child %d, not %d", s.p.PID, pid)
			}
			if killed {
				testenv.Must(t, s.p.Signal(syscall.SIGKILL))
			} else {
				release()
			}
			if err := <-reports; (err != nil) != killed {
				t.Errorf("the report is %v", err)
			}
			if status, err := waitFor(pid); err != nil || (status != 0) != killed {
				t.Errorf("it ended with %v, %v", status, err)
			}
			s.p.Close()
		})
	}
}

// forkProbe is a word of memory that a child has or shares.
var forkProbe atomic.Uint32

// TestChildHasOwnMemory checks that a child with another user's ids does not share the
// memory of PID 1. A signal that dumps core would end both of them before Linux 5.16, and
// with fs.suid_dumpable=1 the user could write PID 1's memory.
func TestChildHasOwnMemory(t *testing.T) {
	if !testenv.Inside(t, 0) {
		return
	}
	asPID1(t)
	c := program(t, "true")
	held, release := testenv.Hold(t, unix.SYS_EXECVE)
	forkProbe.Store(1)
	pid, done, _ := startHeld(t, c, held)
	forkProbe.Store(2)
	var theirs [4]byte
	_, err := unix.ProcessVMReadv(pid, []unix.Iovec{{Base: &theirs[0], Len: 4}},
		[]unix.RemoteIovec{{Base: uintptr(unsafe.Pointer(&forkProbe)), Len: 4}}, 0)
	testenv.Must(t, err)
	if n := binary.NativeEndian.Uint32(theirs[:]); n != 1 {
		t.Errorf("the child sees what we write after the fork: %d", n)
	}
	release()
	s := <-done
	testenv.Must(t, s.err)
	_, err = waitFor(pid)
	testenv.Must(t, err)
	s.p.Close()
}

// garbage keeps the collector busy.
var garbage []byte

// TestForkComesBack checks that a fork returns although a process of the target's UID
// stops all that it may, over and over.
func TestForkComesBack(t *testing.T) {
	if !testenv.Inside(t, unix.CLONE_NEWPID) {
		return
	}
	attacker := exec.Command("/bin/sh", "-c", "while :; do kill -STOP -1 2>/dev/null; done")
	attacker.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: gateway, Gid: gateway}, Setsid: true}
	testenv.Must(t, attacker.Start())
	t.Cleanup(func() { attacker.Process.Kill(); attacker.Wait() })
	c := program(t, "true")
	done := make(chan error)
	go func() {
		for range 100 {
			for range 160 { // beyond the memory limit, so that a collection begins
				garbage = make([]byte, 64<<10)
			}
			p, err := launch.Start(c.Child, func(int, string, error) {})
			if err == nil {
				p.Signal(syscall.SIGKILL)
				_, err = syscall.Wait4(p.PID, nil, 0, nil)
				p.Close()
			}
			done <- err
		}
		close(done)
	}()
	for n := 0; ; n++ {
		limit := time.NewTimer(patience)
		select {
		case err, more := <-done:
			if limit.Stop(); !more {
				return
			}
			testenv.Must(t, err)
		case <-limit.C:
			t.Fatalf("start %d does not come back", n)
		}
	}
}
