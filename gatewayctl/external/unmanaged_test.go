// SPDX-License-Identifier: Apache-2.0

package external

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/gateway-init/gateway-init/internal/config"
	"github.com/gateway-init/gateway-init/internal/procfs"
	"github.com/gateway-init/gateway-init/internal/sockets"
	"github.com/gateway-init/gateway-init/internal/testenv"
)

// serveEnv makes this program answer 200 on an address that it shares with other
// processes. With "below" it first hands its socket to a child.
const serveEnv = "CONTROLLER_SERVE"

func serve(addr string) error {
	lc := net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) (err error) {
		return errors.Join(c.Control(func(fd uintptr) {
			err = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_REUSEPORT, 1)
		}), err)
	}}
	l, err := lc.Listen(context.Background(), "tcp4", strings.TrimPrefix(addr, "below "))
	if err != nil {
		return err
	}
	if addr != strings.TrimPrefix(addr, "below ") {
		f, err := l.(*net.TCPListener).File()
		if err != nil {
			return err
		}
		cmd := exec.Command("/bin/sleep", "1000")
		cmd.ExtraFiles = []*os.File{f}
		if err := cmd.Start(); err != nil {
			return err
		}
		f.Close()
	}
	return http.Serve(l, http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
}

// startServer starts such a program as another user.
func startServer(t *testing.T, addr string) *exec.Cmd {
	t.Helper()
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = []string{serveEnv + "=" + addr}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Credential: &syscall.Credential{Uid: testenv.Stranger, Gid: testenv.Stranger}}
	testenv.Must(t, cmd.Start())
	t.Cleanup(func() { syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL); cmd.Wait() })
	return cmd
}

func freeAddr(t *testing.T) (addr string, s config.Gateway) {
	t.Helper()
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	testenv.Must(t, err)
	defer l.Close()
	probe := config.Probe{Path: "/", Status: []int{200}, Timeout: 5 * time.Second}
	return l.Addr().String(), config.Gateway{Port: netip.MustParseAddrPort(l.Addr().String()).Port(), Ready: probe, Health: probe,
		StopSignal: syscall.SIGTERM, StopGrace: 5 * time.Second}
}

func ownsNone(procfs.Stat) bool { return false }

// awaitUnmanaged waits for the unmanaged gateway and its children that have the port open,
// and returns it.
func awaitUnmanaged(t *testing.T, ctx context.Context, s config.Gateway, children int) (x *Unmanaged) {
	t.Helper()
	testenv.Eventually(t, "a stranger that serves", func() bool {
		u, err := FindUnmanaged(ctx, s, ownsNone, quiet)
		if err != nil {
			return false
		}
		if x = u; len(u.below) != children {
			u.Close()
		}
		return len(u.below) == children
	})
	t.Cleanup(x.Close)
	return x
}

func awaitListeners(t *testing.T, port uint16, n int) {
	t.Helper()
	testenv.Eventually(t, fmt.Sprintf("%d listeners", n), func() bool {
		ls, err := sockets.Listeners(port)
		testenv.Must(t, err)
		return len(ls) == n
	})
}

// TestUnmanagedGatewayIsProvedAndEnded checks that the serving process ends, with
// those below it that have the port open. A child of the supervisor is never ended.
func TestUnmanagedGatewayIsProvedAndEnded(t *testing.T) {
	testenv.Root(t)
	ctx := testenv.Within(t, 30*time.Second)
	addr, s := freeAddr(t)
	if _, err := FindUnmanaged(ctx, s, ownsNone, quiet); !errors.Is(err, ErrNoUnmanaged) {
		t.Errorf("a free port: %v", err)
	}
	cmd := startServer(t, "below "+addr)
	x := awaitUnmanaged(t, ctx, s, 1)
	if x.PID != cmd.Process.Pid {
		t.Errorf("%+v with %v below", x.Snapshot, x.below)
	}
	for what, ours := range map[string]int{"itself": x.PID, "below": x.below[0].PID} {
		if _, err := FindUnmanaged(ctx, s, func(st procfs.Stat) bool { return st.PID == ours }, quiet); !errors.Is(err, ErrOurs) {
			t.Errorf("ours %s: %v", what, err)
		}
	}
	go cmd.Wait()
	testenv.Must(t, x.Stop(ctx))
	awaitListeners(t, s.Port, 0)
}

// TestStoppedProcessHearsItsStopSignal checks that a process that SIGSTOP has stopped ends
// by the stop signal, and is not killed when its grace is over.
func TestStoppedProcessHearsItsStopSignal(t *testing.T) {
	ctx := testenv.Within(t, 30*time.Second)
	cmd := exec.Command("sleep", "1000")
	testenv.Must(t, cmd.Start())
	t.Cleanup(func() { endProcess(cmd) })
	testenv.Must(t, unix.Kill(cmd.Process.Pid, unix.SIGSTOP))
	p, err := procfs.Hold(cmd.Process.Pid)
	testenv.Must(t, err)
	defer p.Close()
	s := &stages{say: func(stage string) {
		if strings.HasPrefix(stage, "killing") {
			t.Error("it did not hear its stop signal")
		}
	}}
	_, err = s.stop(ctx, p, &config.Gateway{StopSignal: syscall.SIGTERM, StopGrace: 10 * time.Second})
	testenv.Must(t, err)
}

// TestLaterListenerIsNotEnded checks that a process that takes the port later is not
// ended. After the unmanaged gateway has gone, no process is ended in its place.
func TestLaterListenerIsNotEnded(t *testing.T) {
	testenv.Root(t)
	ctx := testenv.Within(t, 30*time.Second)
	addr, s := freeAddr(t)
	first := startServer(t, addr)
	x := awaitUnmanaged(t, ctx, s, 0)
	second := startServer(t, addr)
	awaitListeners(t, s.Port, 2)
	if _, err := FindUnmanaged(ctx, s, ownsNone, quiet); !errors.Is(err, ErrAmbiguous) {
		t.Errorf("two of them: %v", err)
	}
	later, err := procfs.Identify(second.Process.Pid)
	testenv.Must(t, err)
	go first.Wait()
	testenv.Must(t, x.Stop(ctx))
	awaitListeners(t, s.Port, 1)
	if err := later.Verify(); err != nil {
		t.Errorf("the later one: %v", err)
	}
	testenv.Eventually(t, "the first to be reaped", func() bool {
		return errors.Is((procfs.ID{PID: x.PID}).Verify(), procfs.ErrGone)
	})
	if err := x.Stop(ctx); !errors.Is(err, procfs.ErrGone) {
		t.Errorf("stopped once more: %v", err)
	}
	if err := later.Verify(); err != nil {
		t.Errorf("the later one: %v", err)
	}
}

// TestOwns checks that the supervisor owns only processes of its children's shape.
func TestOwns(t *testing.T) {
	s := &Supervisor{Held: &procfs.Held{Snapshot: procfs.Snapshot{PID: 7, Status: procfs.Status{PPID: 1}, Session: 7}}}
	for what, c := range map[string]struct {
		st   procfs.Stat
		want bool
	}{
		"itself":       {procfs.Stat{PID: 7, PPID: 1, Session: 7}, true},
		"its child":    {procfs.Stat{PID: 9, PPID: 7, Session: 9}, true},
		"an orphan":    {procfs.Stat{PID: 9, PPID: 7, Session: 8}, false},
		"a descendant": {procfs.Stat{PID: 9, PPID: 8, Session: 9}, false},
	} {
		if got := s.Owns(c.st); got != c.want {
			t.Errorf("%s: %t", what, got)
		}
	}
}

// TestTooManyHolders checks that too many holders prove nothing.
func TestTooManyHolders(t *testing.T) {
	testenv.Root(t)
	ctx := testenv.Within(t, 30*time.Second)
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	testenv.Must(t, err)
	f, err := l.(*net.TCPListener).File()
	testenv.Must(t, err)
	defer f.Close()
	for range maxHolders + 1 {
		cmd := exec.Command("/bin/sleep", "100")
		cmd.ExtraFiles = []*os.File{f}
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: testenv.Stranger, Gid: testenv.Stranger}}
		testenv.Must(t, cmd.Start())
		t.Cleanup(func() { endProcess(cmd) })
	}
	testenv.Must(t, l.Close()) // only the sleepers have it open now
	ls, err := sockets.Listeners(netip.MustParseAddrPort(l.Addr().String()).Port())
	testenv.Must(t, err)
	if _, err := (&Unmanaged{owner: testenv.Stranger}).holders(ctx, ls); !errors.Is(err, ErrAmbiguous) {
		t.Errorf("%v", err)
	}
}
