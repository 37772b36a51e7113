// SPDX-License-Identifier: Apache-2.0

package operate

import (
	"errors"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"github.com/gateway-init/gateway-init/internal/procfs"
	"github.com/gateway-init/gateway-init/internal/sockets"
	"github.com/gateway-init/gateway-init/internal/status"
	"github.com/gateway-init/gateway-init/internal/testenv"
	"github.com/gateway-init/gateway-init/supervisor/control"
)

// TestNewLocal asks the real kernel for the answers that other tests fake.
func TestNewLocal(t *testing.T) {
	h := NewLocal(nil)
	me, err := procfs.Identify(os.Getpid())
	testenv.Must(t, err)
	if err := h.Process(procfs.ID{PID: me.PID, Start: me.Start}); err != nil {
		t.Errorf("this process is not itself: %v", err)
	}
	if err := h.Process(procfs.ID{PID: me.PID, Start: me.Start + 1}); !errors.Is(err, procfs.ErrReplaced) {
		t.Errorf("another start time: %v", err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	testenv.Must(t, err)
	defer l.Close()
	port := uint16(l.Addr().(*net.TCPAddr).Port)
	ls, err := h.Listeners(port)
	if err != nil || len(ls) != 1 || ls[0].UID != uint32(os.Geteuid()) {
		t.Errorf("listeners(%d) = %v, %v", port, ls, err)
	}
	dirs := h.Defaults()
	if len(dirs) != 2 || dirs[1] != fallbackRuntimeDir {
		t.Errorf("defaults = %v", dirs)
	}
}

func listener(addr string, uid uint32) sockets.Listener {
	return sockets.Listener{Addr: netip.MustParseAddrPort(addr), UID: uid, Inode: 7}
}

func TestNames(t *testing.T) {
	var ls []sockets.Listener
	for range 6 {
		ls = append(ls, listener("[::1]:1", 1000))
	}
	if got := names(ls); !strings.HasSuffix(got, "uid 1000, 2 more") {
		t.Errorf("names = %q", got)
	}
}

// TestOwnerOf checks that a uid counts only if the process has no other.
func TestOwnerOf(t *testing.T) {
	if got := ownerOf(os.Getpid()); got != uint32(os.Geteuid()) {
		t.Errorf("of this process it is %d", got)
	}
	if got := ownerOf(1 << 22); got != 0 {
		t.Errorf("without such a process it is %d", got)
	}
	if os.Geteuid() != 0 {
		t.Skip("needs root")
	}
	cmd := exec.Command("sleep", "100")
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 4242, Gid: 4242}}
	testenv.Must(t, cmd.Start())
	defer func() { cmd.Process.Kill(); cmd.Wait() }()
	if got := ownerOf(cmd.Process.Pid); got != 4242 {
		t.Errorf("a child's is %d", got)
	}
}

// TestRuntimeDirsWithoutRoot checks the user's own places of a PID 1 without root.
func TestRuntimeDirsWithoutRoot(t *testing.T) {
	h := NewLocal([]string{"XDG_RUNTIME_DIR=/run/user/1000"})
	h.Owner = 1000
	if got := strings.Join(h.Defaults(), " "); got != "/run/user/1000/gateway-init /dev/shm/gateway-init-1000" {
		t.Errorf("got %s", got)
	}
}

// TestOwnerBelowForeignPID1 checks that a user with a supervisor of its own is its owner,
// below another user's PID 1. Files that another user put there do not count.
func TestOwnerBelowForeignPID1(t *testing.T) {
	const me = testenv.Gateway
	for name, c := range map[string]struct {
		uid  int // the directory's owner; 0 for no directory
		file string
		want uint32
	}{
		"own":         {me, status.Name, me},
		"own-control": {me, control.Dir, me},
		"empty":       {me, "", 0},
		"missing":     {0, "", 0},
		"stranger's":  {testenv.Stranger, status.Name, 0},
	} {
		t.Run(name, func(t *testing.T) {
			if !testenv.Inside(t, syscall.CLONE_NEWNS) {
				return
			}
			testenv.Must(t, syscall.Mount("none", "/mnt", "tmpfs", 0, "mode=0755"))
			if c.uid != 0 {
				testenv.Must(t, os.Mkdir("/mnt/gateway-init", 0o755))
				if c.file != "" {
					testenv.Must(t, os.WriteFile("/mnt/gateway-init/"+c.file, nil, 0o600))
				}
				testenv.Must(t, os.Chown("/mnt/gateway-init", c.uid, c.uid))
			}
			testenv.Must(t, errors.Join(syscall.Setgroups(nil), syscall.Setgid(me), syscall.Setuid(me)))
			if got := findOwner([]string{"XDG_RUNTIME_DIR=/mnt"}); got != c.want {
				t.Errorf("got %d, want %d", got, c.want)
			}
		})
	}
}

// TestMissingWithoutRoot checks that a message names the environment, on which the
// supervisor's files depend.
func TestMissingWithoutRoot(t *testing.T) {
	l, _ := newLocal(t)
	l.Owner = 1000
	l.Defaults = func() []string { return []string{"/dev/shm/none"} }
	if _, err := l.OpenRuntime(); err == nil || !strings.Contains(err.Error(), "XDG_RUNTIME_DIR") {
		t.Errorf("%v", err)
	}
}
