// SPDX-License-Identifier: Apache-2.0

package boot

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/gateway-init/gateway-init/internal/environ"
	"github.com/gateway-init/gateway-init/internal/nodeflags"
	"github.com/gateway-init/gateway-init/internal/pathcheck"
	"github.com/gateway-init/gateway-init/internal/sys"
	"github.com/gateway-init/gateway-init/internal/users"
)

// Files of the kernel that programs looks at.
const (
	ownProgram   = "/proc/self/exe"
	suidDumpable = "/proc/sys/fs/suid_dumpable"
)

// programs records the ways in which the programs that hold the token expose it.
// These programs are PID 1's own, while it launches, and the gateway's.
func (b *bootstrap) programs() {
	b.lookupPath()
	if !b.rootless {
		b.hardening.traceable(ownProgram)
		b.hardening.dumps(suidDumpable)
	}
	if b.settings.noGateway {
		return
	}
	g, u := b.cfg.Gateway, b.users.gateway
	p, err := findProgram(g.Command, environ.Built(u, g.Env, g.PassEnv, b.env, g.TokenEnv))
	b.hardening.readable(p, u, err, b.rootless)
	if err == nil && (nodeflags.IsNode(p.Argv[0]) || nodeflags.IsNode(p.path)) {
		if problems := nodeflags.Problems(p.Argv, p.Options); len(problems) > 0 {
			b.hardening.add("node-debugger", strings.Join(problems, "; "))
		}
	}
}

// lookupPath records a PATH with which docker exec, as root, would run another
// user's file as gatewayctl.
func (b *bootstrap) lookupPath() {
	search, ok := b.env.Value("PATH")
	if !ok {
		search = environ.DefaultPath // the engine's own
	}
	if err := pathcheck.Search(search, "gatewayctl"); err != nil {
		b.hardening.add("path", fmt.Sprintf("docker exec runs as root what it finds in PATH: %v", err))
	}
}

// traceable records that another user can read our program. The kernel then lets a
// process of the gateway's user trace a launch, which holds the token.
func (h *hardening) traceable(unsafePath string) {
	st, err := os.Stat(unsafePath)
	switch {
	case err != nil:
		h.add("launch-traceable", fmt.Sprintf("cannot look at gateway-init's own mode: %v", err))
	case st.Mode().Perm()&0o044 != 0 || st.Sys().(*syscall.Stat_t).Uid != 0:
		h.add("launch-traceable", fmt.Sprintf("gateway-init has mode %04o of uid %d: a process of the gateway's user can trace a launch and read the token: chown root and chmod 0711 it",
			st.Mode().Perm(), st.Sys().(*syscall.Stat_t).Uid))
	}
}

// dumps records fs.suid_dumpable=1. With this value, a process that changes its uid
// stays open to the new user until it executes. The values 0 and 2 close it.
func (h *hardening) dumps(unsafePath string) {
	data, err := sys.ReadFile(unsafePath)
	switch {
	case err != nil:
		h.add("suid-dumpable", fmt.Sprintf("cannot read fs.suid_dumpable: %v", err))
	case strings.TrimSpace(string(data)) == "1":
		h.add("suid-dumpable", "a launch is open to the gateway's user between setuid and exec: on the host, sysctl fs.suid_dumpable=0")
	}
}

// readable records a gateway whose program its own user can read, because its
// environment is then open to that user. Without root it records a gateway whose
// program cannot be read, because a proof then needs the gateway's descriptors,
// and the kernel hides them.
func (h *hardening) readable(p program, u users.User, err error, rootless bool) {
	switch {
	case rootless && (err != nil || !p.open):
		h.add("gateway-not-readable", errorOr(err, "without root a gateway whose program cannot be read cannot be proven: chmod a+r "+p.path))
	case !rootless && (err != nil || mayRead(p.info, u)):
		h.add("environ-readable", errorOr(err, p.path+" can be read by the gateway's user: so can /proc/PID/environ of the gateway, with the token: chown root and chmod 0711 it"))
	}
}

// errorOr returns the text of err, or text if err is nil.
func errorOr(err error, text string) string {
	if err != nil {
		return err.Error()
	}
	return text
}

// program is the program that the gateway's command runs in the end.
type program struct {
	nodeflags.Program
	path string // of Argv[0], links followed
	info fs.FileInfo
	open bool // this process can read it
}

// findProgram follows "#!" lines and env(1), and returns the program that they
// lead to.
func findProgram(command, env []string) (p program, err error) {
	if p.Program, err = nodeflags.Resolve(command, env, readHead); err != nil {
		return p, err
	}
	f, err := sys.OpenFile(p.Argv[0], unix.O_PATH)
	if err != nil {
		return p, fmt.Errorf("cannot look at the gateway's program: %w", err)
	}
	defer f.Close()
	if p.info, err = f.Stat(); err == nil {
		p.path, err = os.Readlink(fmt.Sprintf("/proc/self/fd/%d", f.Fd()))
	}
	if err != nil {
		return p, fmt.Errorf("cannot look at the gateway's program: %w", err)
	}
	again, err := os.OpenFile(p.Argv[0], os.O_RDONLY|unix.O_NONBLOCK, 0) // a FIFO would hold boot up
	if err == nil {
		again.Close()
	}
	p.open = err == nil
	return p, nil
}

// readHead returns the first bytes of an executable file, or nil if the file cannot
// be read. Such a file is not a script, because its interpreter could not read it
// either.
func readHead(unsafePath string) ([]byte, error) {
	st, err := os.Stat(unsafePath)
	if err != nil {
		return nil, err
	}
	if !st.Mode().IsRegular() || st.Mode().Perm()&0o111 == 0 {
		return nil, fs.ErrPermission
	}
	f, err := os.OpenFile(unsafePath, os.O_RDONLY|unix.O_NONBLOCK, 0)
	if errors.Is(err, fs.ErrPermission) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	head := make([]byte, nodeflags.HeadSize)
	n, err := io.ReadFull(f, head)
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		return nil, err
	}
	return head[:n], nil
}

// mayRead reports whether the mode lets a user read a file, as the kernel
// decides it for a process without capabilities.
func mayRead(info fs.FileInfo, u users.User) bool {
	st, mode := info.Sys().(*syscall.Stat_t), info.Mode().Perm()
	switch {
	case st.Uid == u.UID:
		return mode&0o400 != 0
	case st.Gid == u.GID || slices.Contains(u.Groups, st.Gid):
		return mode&0o040 != 0
	}
	return mode&0o004 != 0
}
