// SPDX-License-Identifier: Apache-2.0

package verify

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/gateway-init/gateway-init/internal/privs"
	"github.com/gateway-init/gateway-init/internal/sys"
)

// ProgramRunArg as first argument makes gatewayctl give up its rights and become a
// program of an image. main passes the other arguments to ProgramRun.
const ProgramRunArg = "verify-image-run"

// Places where a program runs.
const (
	inNamespaces = "namespaces" // new ones, of all kinds; the program is descriptor 3
	inImage      = "image"      // the image that this program is in
)

// programFD is the descriptor of the program that runs in namespaces.
const programFD = 3

// runFailed marks the line of a process that did not become its program.
const runFailed = ProgramRunArg + ": "

// ProgramRun runs in the process that becomes the program. args are where, uid,
// gid, and the program with its arguments. It returns only if the program could not
// be executed, with the exit code that docker run has for it.
func ProgramRun(args []string) int {
	code, err := engineFailed, errors.New("it is called by verify-image alone")
	if len(args) > 3 {
		if err = confine(args[0], args[1], args[2]); err == nil {
			code, err = execute(args[0], args[3], args[3:])
		}
	}
	fmt.Fprintf(os.Stderr, "%s%v\n", runFailed, err)
	return code
}

func execute(where, target string, argv []string) (code int, err error) {
	sys.CloseOnExecFrom(programFD) // also descriptors that this program's caller left open
	if where == inNamespaces {
		target = fmt.Sprintf("/proc/self/fd/%d", programFD)
	}
	switch err = syscall.Exec(target, argv, nil); {
	case errors.Is(err, syscall.EACCES):
		return cannotExecute, err
	case errors.Is(err, syscall.ENOENT):
		return cannotFind, err
	}
	return cannotFind, err
}

// confine leaves this process without capabilities, without a way to gain any,
// with one uid and gid, and with limits. The bounding set matters only in the
// namespaces. In the image no_new_privs keeps an execve(2) from gaining the
// capabilities that capset(2) gave up, and the engine may not grant SETPCAP
// there.
func confine(where, uidText, gidText string) error {
	uid, err := strconv.ParseUint(uidText, 10, 31)
	if err != nil {
		return err
	}
	gid, err := strconv.ParseUint(gidText, 10, 31)
	if err != nil {
		return err
	}
	for _, m := range privs.Drop(1<<unix.CAP_SETUID | 1<<unix.CAP_SETGID) {
		if m.Name == "no-new-privs" || m.Name == "capabilities" || m.Name == "bounding-set" && where == inNamespaces {
			return fmt.Errorf("%s: %s", m.Name, m.Detail)
		}
	}
	if err := syscall.Setgroups(nil); err != nil {
		return os.NewSyscallError("setgroups", err)
	}
	if err := syscall.Setresgid(int(gid), int(gid), int(gid)); err != nil {
		return os.NewSyscallError("setresgid", err)
	}
	if err := syscall.Setresuid(int(uid), int(uid), int(uid)); err != nil {
		return os.NewSyscallError("setresuid", err)
	}
	if err := sys.SetCaps(0); err != nil {
		return err
	}
	return limit(where)
}

// limit bounds the program, which only prints a line. In the image its uid may have
// processes elsewhere on the host, which count against RLIMIT_NPROC. privs.Drop has
// lowered RLIMIT_CORE to 1, which also stops a core_pattern program.
func limit(where string) error {
	limits := map[int]uint64{
		unix.RLIMIT_CPU: 5, unix.RLIMIT_AS: 4 << 30, unix.RLIMIT_NOFILE: 64, unix.RLIMIT_FSIZE: 0,
	}
	if where == inNamespaces {
		limits[unix.RLIMIT_NPROC] = 64
	}
	for which, n := range limits {
		if err := syscall.Setrlimit(which, &syscall.Rlimit{Cur: n, Max: n}); err != nil {
			return os.NewSyscallError("setrlimit", err)
		}
	}
	return nil
}
