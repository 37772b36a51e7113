// SPDX-License-Identifier: Apache-2.0

package box

import (
	"errors"
	"os/exec"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/gateway-init/gateway-init/tests/harness"
)

// StartForeign starts a program of the machine as uid in the PID namespace of the box, and in
// nothing else of it, as docker run --pid container:BOX does. It has a cgroup of its own. The
// test's cleanup ends it. StartForeign returns the pid on the host.
func (b *Box) StartForeign(uid int, args ...string) (pid int) {
	b.t.Helper()
	cmd := exec.Command(args[0], args[1:]...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(uid)}}
	own := newCgroup(b.t, 64)
	var err error
	harness.OwnThread(func() {
		leave, joinErr := own.enter(cmd)
		defer leave()
		process, openErr := unix.PidfdOpen(b.PID, 0)
		if err = errors.Join(joinErr, openErr); err != nil {
			return
		}
		defer unix.Close(process)
		if err = unix.Setns(process, unix.CLONE_NEWPID); err == nil {
			err = cmd.Start()
		}
	})
	if err != nil {
		b.t.Fatalf("cannot start %v beside the box: %v", args, err)
	}
	reaped := make(chan struct{})
	go func() {
		cmd.Wait()
		close(reaped)
	}()
	b.t.Cleanup(func() {
		cmd.Process.Kill()
		<-reaped
	})
	return cmd.Process.Pid
}
