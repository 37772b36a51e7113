// SPDX-License-Identifier: Apache-2.0

package box

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/gateway-init/gateway-init/internal/testenv"
)

// becomeEnv holds the plan. It marks the test binary that becomes PID 1.
const becomeEnv = "GATEWAY_INIT_TEST_BOX"

// Main runs the tests, or acts as the first process of a box. TestMain must call
// it.
func Main(m *testing.M) int {
	if text := os.Getenv(becomeEnv); text != "" {
		fmt.Fprintf(os.Stderr, "box: %v\n", become(text))
		return 99
	}
	return m.Run()
}

// plan is the work of the first process before it executes gateway-init.
type plan struct {
	Dir      string            // any directory, over which the new root is mounted
	Bin      string            // where make puts the binaries
	Image    string            // image/demo
	Config   []byte            // config.json
	State    map[string]string // files of the gateway's home
	Mounts   []Mount
	Plant    []Entry
	NoProc   bool
	Proc     string
	HostProc bool
	Close    []int
	Groups   []int
	Cwd      string
	UID      int
	DropCaps []uintptr
	Program  string // that becomes PID 1
	OOMScore int
	Limits   map[int]uint64
	Blocked  uint64
	Cgroup   cgroup
	Argv     []string
	Env      []string
}

// become makes the root file system and executes gateway-init in it.
func become(text string) error {
	var p plan
	if err := json.Unmarshal([]byte(text), &p); err != nil {
		return err
	}
	syscall.Umask(0)
	for _, step := range []func() error{p.Cgroup.join, p.root, p.files, p.mountCgroup, p.enter, p.system, p.plant, p.Cgroup.limit} {
		if err := step(); err != nil {
			return err
		}
	}
	for resource, n := range p.Limits {
		if err := syscall.Setrlimit(resource, &syscall.Rlimit{Cur: n, Max: n}); err != nil {
			return fmt.Errorf("cannot set rlimit %d: %w", resource, err)
		}
	}
	if p.OOMScore != 0 {
		if err := os.WriteFile("/proc/self/oom_score_adj", []byte(strconv.Itoa(p.OOMScore)), 0o600); err != nil {
			return err
		}
	}
	if p.Cwd != "" {
		if err := os.Chdir(p.Cwd); err != nil {
			return err
		}
	}
	if err := p.drop(); err != nil {
		return err
	}
	for _, fd := range p.Close {
		unix.CloseOnExec(fd) // until the exec it carries our own errors
	}
	if p.Blocked != 0 {
		runtime.LockOSThread()
		if err := unix.PthreadSigmask(unix.SIG_SETMASK, &unix.Sigset_t{Val: [16]uint64{p.Blocked}}, nil); err != nil {
			return err
		}
	}
	return fmt.Errorf("cannot execute: %w", syscall.Exec(p.Program, p.Argv, p.Env))
}

// root mounts the tmpfs that becomes /.
func (p *plan) root() error {
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("cannot make mounts private: %w", err)
	}
	if err := unix.Mount("tmpfs", p.Dir, "tmpfs", 0, "mode=0755,size=64m"); err != nil {
		return fmt.Errorf("cannot mount root: %w", err)
	}
	return nil
}

// files writes the demo image: image/init.manifest and image/demo.manifest.
func (p *plan) files() error {
	var err error
	dir := func(name string, mode os.FileMode, uid int) {
		path := filepath.Join(p.Dir, name)
		err = errors.Join(err, os.MkdirAll(path, 0o755), os.Chmod(path, mode), os.Chown(path, uid, uid))
	}
	program := func(name, from string) {
		path := filepath.Join(p.Dir, name)
		err = errors.Join(err, os.WriteFile(path, nil, 0o700),
			unix.Mount(filepath.Join(p.Bin, from), path, "", unix.MS_BIND, ""))
	}
	copied := func(name, from string) {
		data, readErr := os.ReadFile(filepath.Join(p.Image, from))
		err = errors.Join(err, readErr, os.WriteFile(filepath.Join(p.Dir, name), data, 0o644))
	}
	for _, name := range []string{"/usr/local/sbin", "/usr/local/bin", "/etc/gateway-init", "/run", "/proc", "/dev", "/old"} {
		dir(name, 0o755, 0)
	}
	dir("/tmp", os.ModeSticky|0o777, 0)
	dir("/sandbox", 0o755, SandboxUID)
	dir("/var/lib/gateway", 0o700, GatewayUID)
	program("/usr/local/sbin/gateway-init", "gateway-init")
	program("/usr/local/sbin/gateway-relay", "gateway-relay")
	program("/usr/local/bin/gatewayctl", "gatewayctl")
	program("/usr/local/bin/demogateway", "demogateway")
	program("/usr/local/bin/demotools", "demotools")
	copied("/etc/passwd", "passwd")
	copied("/etc/group", "group")
	err = errors.Join(err, os.WriteFile(p.Dir+"/etc/gateway-init/config.json", p.Config, 0o644))
	for name, data := range p.State {
		path := filepath.Join(p.Dir, "/var/lib/gateway", name)
		err = errors.Join(err, os.WriteFile(path, []byte(data), 0o644), os.Chown(path, GatewayUID, GatewayUID))
	}
	return err
}

// enter makes the tmpfs the root, and the former root unreachable.
func (p *plan) enter() error {
	if p.HostProc {
		if err := unix.Mount("/proc", p.Dir+"/proc", "", unix.MS_BIND, ""); err != nil {
			return fmt.Errorf("cannot bind /proc: %w", err)
		}
	}
	if err := unix.PivotRoot(p.Dir, p.Dir+"/old"); err != nil {
		return fmt.Errorf("cannot change root: %w", err)
	}
	return errors.Join(os.Chdir("/"), unix.Unmount("/old", unix.MNT_DETACH), os.Remove("/old"))
}

// system makes the mounts of an engine, and brings the loopback up.
func (p *plan) system() error {
	if !p.NoProc && !p.HostProc {
		if err := unix.Mount("proc", "/proc", "proc", 0, p.Proc); err != nil {
			return fmt.Errorf("cannot mount /proc: %w", err)
		}
	}
	for _, m := range append([]Mount{{At: "/dev", Data: "mode=0755,size=64k"}}, p.Mounts...) {
		kind := cmp.Or(m.Type, "tmpfs")
		if err := errors.Join(os.MkdirAll(m.At, 0o755), unix.Mount(kind, m.At, kind, m.Flags, m.Data)); err != nil {
			return fmt.Errorf("cannot mount %s: %w", m.At, err)
		}
	}
	for name, minor := range map[string]uint32{"null": 3, "zero": 5, "full": 7, "random": 8, "urandom": 9} {
		if err := unix.Mknod("/dev/"+name, unix.S_IFCHR|0o666, int(unix.Mkdev(1, minor))); err != nil {
			return fmt.Errorf("cannot make /dev/%s: %w", name, err)
		}
	}
	return testenv.Loopback()
}

// plant makes files that an earlier run, or another user, has left.
func (p *plan) plant() error {
	for _, e := range p.Plant {
		err := os.MkdirAll(filepath.Dir(e.Path), 0o755)
		switch {
		case err != nil:
		case e.Link != "":
			err = os.Symlink(e.Link, e.Path)
		case e.Hard != "":
			err = os.Link(e.Hard, e.Path)
		case e.Type == unix.S_IFDIR:
			err = unix.Mkdir(e.Path, 0o700)
		case e.Type == unix.S_IFREG:
			err = os.WriteFile(e.Path, []byte(e.Data), 0o600)
		default:
			err = unix.Mknod(e.Path, e.Type|0o600, int(unix.Mkdev(1, 3)))
		}
		if err == nil && e.Link == "" && e.Hard == "" {
			err = errors.Join(unix.Chmod(e.Path, e.Mode), os.Chown(e.Path, e.UID, e.UID))
		}
		if err != nil {
			return fmt.Errorf("cannot plant %s: %w", e.Path, err)
		}
	}
	return nil
}

// drop gives up the capabilities that the engine would not have given, and root. Root
// gets its capabilities at the exec, from the bounding set.
func (p *plan) drop() error {
	for _, c := range p.DropCaps {
		if err := unix.Prctl(unix.PR_CAPBSET_DROP, c, 0, 0, 0); err != nil {
			return fmt.Errorf("cannot drop capability %d: %w", c, err)
		}
	}
	if err := unix.Setgroups(p.Groups); err != nil {
		return fmt.Errorf("cannot set groups: %w", err)
	}
	if p.UID == 0 {
		return nil
	}
	return errors.Join(syscall.Setgid(p.UID), syscall.Setuid(p.UID))
}
