// SPDX-License-Identifier: Apache-2.0

package verify

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
)

// mark tries to leave the tree and to write outside it, as a hostile program of an
// image would. argument names a folder of the host that every user may write, and
// one of root.
func mark(argument string) {
	open, closed, _ := strings.Cut(argument, " ")
	if os.Geteuid() == 0 && syscall.Mkdir("/x", 0o755) == nil { // out of a chroot
		_ = syscall.Chroot("/x")
		for range 64 {
			_ = syscall.Chdir("..")
		}
		_ = syscall.Chroot(".")
	}
	for _, dir := range []string{open, closed} {
		if f, err := os.Create(filepath.Join(dir, "marker")); err == nil {
			_, _ = f.WriteString("x")
			f.Close()
		}
	}
}

// hang does not end. It leaves a process in another session that holds the output
// open. Both have the argument in their command line.
func hang(argument string) {
	if len(os.Args) < 4 {
		cmd := exec.Command("/proc/self/exe", "x", "x", argument)
		cmd.Args[0] = "gateway-init"
		cmd.Stdout, cmd.SysProcAttr = os.Stdout, &syscall.SysProcAttr{Setsid: true}
		_ = cmd.Start()
	}
	for {
		_ = syscall.Pause()
	}
}

// tell returns one line with the rights and resources of this process.
func tell() string {
	status, err := os.ReadFile("/proc/thread-self/status")
	if err != nil {
		return err.Error()
	}
	var all []string
	for line := range strings.Lines(string(status)) {
		name, value, _ := strings.Cut(line, ":")
		switch name {
		case "Uid", "Gid", "Groups", "CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb", "NoNewPrivs":
			all = append(all, name+"="+strings.Join(strings.Fields(value), ","))
		}
	}
	for name, which := range map[string]int{"as": syscall.RLIMIT_AS, "cpu": syscall.RLIMIT_CPU, "fsize": syscall.RLIMIT_FSIZE, "nofile": syscall.RLIMIT_NOFILE, "nproc": 6, "core": syscall.RLIMIT_CORE} {
		var l syscall.Rlimit
		_ = syscall.Getrlimit(which, &l)
		all = append(all, fmt.Sprintf("%s=%d/%d", name, l.Cur, l.Max))
	}
	for _, kind := range []string{"user", "pid", "mnt", "net", "ipc", "uts"} {
		link, _ := os.Readlink("/proc/self/ns/" + kind)
		all = append(all, link)
	}
	fds, _ := filepath.Glob("/proc/self/fd/*")
	for _, fd := range fds {
		to, _ := os.Readlink(fd)
		all = append(all, "fd:"+to)
	}
	return strings.Join(append(all, fmt.Sprintf("env=%d pid=%d", len(os.Environ()), os.Getpid())), " ")
}
