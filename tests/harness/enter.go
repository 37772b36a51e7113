// SPDX-License-Identifier: Apache-2.0

package harness

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// keptCaps are the capabilities that ReadmeFlags leave to a container's root.
var keptCaps = []uintptr{unix.CAP_CHOWN, unix.CAP_KILL, unix.CAP_SETGID, unix.CAP_SETUID, unix.CAP_SETPCAP}

// ownRights are flags of docker run that may change the rights, limits or
// environment of a container's root, so that enter would differ from docker exec.
var ownRights = []string{"--user", "-u", "--cap-add", "--cap-drop", "--privileged", "--security-opt", "--userns",
	"--runtime", "--group-add", "-e", "--env", "--env-file", "--memory", "--pids-limit", "--cpus", "--ulimit"}

// plainRoot reports whether docker exec is root with keptCaps, and with the demo
// image's environment, in a container with these options. Then enter is the same.
func plainRoot(o Options) bool {
	return o.Image == DemoImage && o.Flags == nil && len(o.Env) == 0 && engine() == "docker" &&
		!slices.ContainsFunc(o.Extra, func(flag string) bool {
			name, _, _ := strings.Cut(flag, "=")
			return slices.Contains(ownRights, name)
		})
}

// enterable reports whether enter can run a command: gatewayctl as root, in a
// container that runs as root. The engine's exec takes more time than gatewayctl.
// The engine runs the agent's commands, which get the seccomp filter and the
// cgroup.
func (c *Container) enterable(flags []string, user string, args []string) bool {
	return c.plainRoot && user == "" && args[0] == "gatewayctl" && slices.Equal(flags, []string{"-i"}) &&
		!NonRoot(c.t) && !Managed()
}

// entered calls enter if the container runs. Otherwise the engine has to report the
// error.
func (c *Container) entered(stdin []byte, args []string) (r Result, ok bool) {
	c.t.Helper()
	pid, err := c.hostPID()
	if err != nil {
		return Result{}, false
	}
	ctx, cancel := context.WithTimeout(context.Background(), engineTimeout)
	defer cancel()
	r, err = enter(ctx, pid, stdin, args)
	if err != nil && c.life.pid() != 0 {
		c.t.Fatalf("cannot run %s in the container: %v", strings.Join(args, " "), err)
	}
	return r, err == nil
}

// enter runs a program of /usr/local/bin in the namespaces of process pid, as
// docker exec does for root in a container with ReadmeFlags. It has the same
// capabilities, no new privileges, and its own session. It has no seccomp filter,
// and is in the cgroup of the test.
func enter(ctx context.Context, pid int, stdin []byte, args []string) (r Result, err error) {
	OwnThread(func() {
		if err = errors.Join(JoinNamespaces(pid), dropRights()); err == nil {
			r, err = runEntered(ctx, stdin, args)
		}
	})
	return r, err
}

// OwnThread runs f on a thread that exits with f, so that f may change the thread's
// attributes. It is never the first thread, which does not exit, and to which
// /proc/self refers.
func OwnThread(f func()) {
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		runtime.LockOSThread()
		if unix.Gettid() == unix.Getpid() {
			OwnThread(f) // while this goroutine holds the first thread
			runtime.UnlockOSThread()
			return
		}
		f() // never unlocked: the thread ends with this goroutine
	}()
	<-ended
}

// JoinNamespaces moves the calling thread, which must come from OwnThread, to the
// namespaces of process pid (setns(2), Linux 5.8). A PID namespace takes effect for
// its children.
func JoinNamespaces(pid int) error {
	process, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		return os.NewSyscallError("pidfd_open", err)
	}
	defer unix.Close(process)
	if err := unix.Unshare(unix.CLONE_FS); err != nil { // the other threads share our root directory
		return os.NewSyscallError("unshare", err)
	}
	return os.NewSyscallError("setns", unix.Setns(process, unix.CLONE_NEWNS|unix.CLONE_NEWPID|
		unix.CLONE_NEWNET|unix.CLONE_NEWIPC|unix.CLONE_NEWUTS|unix.CLONE_NEWCGROUP))
}

// dropRights limits the programs that this thread executes to keptCaps.
func dropRights() error {
	for c := uintptr(0); c <= unix.CAP_LAST_CAP; c++ {
		if slices.Contains(keptCaps, c) {
			continue
		}
		if err := unix.Prctl(unix.PR_CAPBSET_DROP, c, 0, 0, 0); err != nil && !errors.Is(err, unix.EINVAL) { // this kernel has fewer capabilities
			return os.NewSyscallError("prctl", err)
		}
	}
	return os.NewSyscallError("prctl", unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
}

func runEntered(ctx context.Context, stdin []byte, args []string) (Result, error) {
	var stdout, stderr bytes.Buffer
	cmd := exec.CommandContext(ctx, "/usr/local/bin/"+args[0], args[1:]...)
	cmd.Dir, cmd.Env = "/", []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root"}
	cmd.Stdin, cmd.Stdout, cmd.Stderr = bytes.NewReader(stdin), &stdout, &stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Credential: &syscall.Credential{Groups: []uint32{0}}}
	if err := cmd.Start(); err != nil {
		return Result{}, err
	}
	err := cmd.Wait()
	if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) || ctx.Err() != nil {
		return Result{}, errors.Join(err, ctx.Err())
	}
	code := cmd.ProcessState.ExitCode()
	if end := cmd.ProcessState.Sys().(syscall.WaitStatus); end.Signaled() { // as the engine reports it
		code = 128 + int(end.Signal())
	}
	return Result{code, stdout.String(), stderr.String()}, nil
}
