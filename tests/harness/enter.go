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

// keptCaps are the capabilities that ReadmeFlags leave a container's root.
var keptCaps = []uintptr{unix.CAP_CHOWN, unix.CAP_KILL, unix.CAP_SETGID, unix.CAP_SETUID, unix.CAP_SETPCAP}

// ownRights are flags of docker run that may give a container's root other rights,
// limits or another environment than what is entered has.
var ownRights = []string{"--user", "-u", "--cap-add", "--cap-drop", "--privileged", "--security-opt", "--userns",
	"--runtime", "--group-add", "-e", "--env", "--env-file", "--memory", "--pids-limit", "--cpus", "--ulimit"}

// plainRoot tells whether docker exec is root with keptCaps, and with the demo
// image's environment, in a container with these options, so that enter is the same.
func plainRoot(o Options) bool {
	return o.Image == DemoImage && o.Flags == nil && len(o.Env) == 0 && engine() == "docker" &&
		!slices.ContainsFunc(o.Extra, func(flag string) bool {
			name, _, _ := strings.Cut(flag, "=")
			return slices.Contains(ownRights, name)
		})
}

// enterable tells whether a command is for enter: gatewayctl as root, where the
// container is root's. An exec by the engine costs more than what gatewayctl does.
// What the agent does is the engine's: it has the seccomp filter and the cgroup.
func (c *Container) enterable(flags []string, user string, args []string) bool {
	return c.plainRoot && user == "" && args[0] == "gatewayctl" && slices.Equal(flags, []string{"-i"}) &&
		!NonRoot(c.t) && !Managed()
}

// entered is enter for a container that runs. To the engine is left what to say of
// one that does not.
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

// enter runs a program of /usr/local/bin in the namespaces of process pid as docker
// exec does for root in a container with ReadmeFlags: with its capabilities, without
// new privileges, in a session of its own. It has no seccomp filter, and is in the
// cgroup of the test.
func enter(ctx context.Context, pid int, stdin []byte, args []string) (r Result, err error) {
	OwnThread(func() {
		if err = errors.Join(JoinNamespaces(pid), dropRights()); err == nil {
			r, err = runEntered(ctx, stdin, args)
		}
	})
	return r, err
}

// OwnThread runs f on a thread that ends with it, so that f may change what a thread
// has of its own. It is never the first thread: that one does not end, and is what
// /proc/self means.
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

// JoinNamespaces moves the calling thread, which must be OwnThread's, to the
// namespaces of process pid (setns(2), Linux 5.8). A PID namespace counts for its
// children.
func JoinNamespaces(pid int) error {
	process, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		return os.NewSyscallError("pidfd_open", err)
	}
	defer unix.Close(process)
	if err := unix.Unshare(unix.CLONE_FS); err != nil { // the other threads share our root
		return os.NewSyscallError("unshare", err)
	}
	return os.NewSyscallError("setns", unix.Setns(process, unix.CLONE_NEWNS|unix.CLONE_NEWPID|
		unix.CLONE_NEWNET|unix.CLONE_NEWIPC|unix.CLONE_NEWUTS|unix.CLONE_NEWCGROUP))
}

// dropRights leaves what this thread executes keptCaps.
func dropRights() error {
	for c := uintptr(0); c <= unix.CAP_LAST_CAP; c++ {
		if slices.Contains(keptCaps, c) {
			continue
		}
		if err := unix.Prctl(unix.PR_CAPBSET_DROP, c, 0, 0, 0); err != nil && !errors.Is(err, unix.EINVAL) { // this kernel has not so many
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
	if end := cmd.ProcessState.Sys().(syscall.WaitStatus); end.Signaled() { // as the engine says it
		code = 128 + int(end.Signal())
	}
	return Result{code, stdout.String(), stderr.String()}, nil
}
