// SPDX-License-Identifier: Apache-2.0

// Package stepdown executes the caller's own program again as another user. Root in a
// container needs that to look at the processes of a supervisor without root, and to
// make requests of it. The new process steps down by itself, because the program may be
// executable by root alone. After that it cannot be traced, because a change of uid
// clears the dumpable flag (proc(5), suid_dumpable). So its user can stop it or end it,
// but cannot make it lie.
package stepdown

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"syscall"
	"time"

	"github.com/gateway-init/gateway-init/internal/sys"
)

// Arg is the first argument of a program that steps down. The uid, the gid, the
// lifetime and the arguments of the program as that user follow.
const Arg = "step-down"

// Enter makes this process the user's, and ends it after its lifetime. args are the
// arguments after Arg, and rest are those of the program as that user. rest is also
// returned with an error. A user that calls it by hand becomes that uid, which only root
// can do.
func Enter(args []string) (rest []string, err error) {
	if len(args) < 4 {
		return nil, errors.New("cannot step down: " + Arg + " takes UID, GID, LIFETIME and a verb")
	}
	rest = args[3:]
	uid, errUID := strconv.ParseUint(args[0], 10, 31)
	gid, errGID := strconv.ParseUint(args[1], 10, 31)
	life, errLife := time.ParseDuration(args[2])
	if err := errors.Join(errUID, errGID, errLife); err != nil {
		return rest, err
	}
	time.AfterFunc(life, func() { os.Exit(1) }) // even if a look hangs
	return rest, become(int(uid), int(gid))
}

// become gives up all that root has, in every thread: groups, then gid, then
// uid, and all capabilities. A uid of 0 keeps the capabilities, because it sees
// a process of root only with the capabilities of that process (ptrace(2)). A
// process that already has uid and gid keeps its groups and capabilities.
func become(uid, gid int) error {
	if err := sys.NoNewPrivs(); err != nil {
		return err
	}
	if uid == os.Getuid() && gid == os.Getgid() {
		return nil
	}
	err := os.NewSyscallError("setgroups", syscall.Setgroups(nil))
	if err == nil {
		err = os.NewSyscallError("setresgid", syscall.Setresgid(gid, gid, gid))
	}
	if err == nil {
		err = os.NewSyscallError("setresuid", syscall.Setresuid(uid, uid, uid))
	}
	if err == nil && uid != 0 {
		err = sys.SetCaps(0) // they end with the last uid 0 (capabilities(7)), unless a securebit kept them
	}
	if err != nil {
		return fmt.Errorf("cannot become uid %d: %w", uid, err)
	}
	return nil
}
