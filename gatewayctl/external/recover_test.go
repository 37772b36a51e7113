// SPDX-License-Identifier: Apache-2.0

package external

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/gateway-init/gateway-init/internal/config"
	"github.com/gateway-init/gateway-init/internal/fsafe"
	"github.com/gateway-init/gateway-init/internal/policy"
	"github.com/gateway-init/gateway-init/internal/procfs"
	"github.com/gateway-init/gateway-init/internal/reason"
	"github.com/gateway-init/gateway-init/internal/sys"
	"github.com/gateway-init/gateway-init/internal/testenv"
	"github.com/gateway-init/gateway-init/supervisor/proof"
)

// TestLost checks that recover waits for a gateway that is starting, looks several
// times at one that is down, and replaces none in doubt.
func TestLost(t *testing.T) {
	if !testenv.Inside(t, unix.CLONE_NEWPID|unix.CLONE_NEWNS) {
		return
	}
	ctx := testenv.Within(t, 30*time.Second)
	c, _ := pair(t, sleeps)
	g, err := c.FindGateway(ctx)
	testenv.Must(t, err)
	defer g.Close()
	c.Ready.Timeout = time.Hour
	short, cancel := context.WithTimeout(ctx, 300*time.Millisecond)
	defer cancel()
	if lost, err := c.mustReplace(short, g); lost || !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "no process listens") {
		t.Errorf("while it starts: %v, %v", lost, err)
	}
	c.Ready.Timeout = time.Millisecond
	looks := 0
	c.say = func(string) { looks++ }
	if lost, err := c.mustReplace(ctx, g); !lost || err != nil || looks != policy.Failures {
		t.Errorf("down: %v, %v (%d looks)", lost, err, looks)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	testenv.Must(t, err)
	defer l.Close()
	c.Port = netip.MustParseAddrPort(l.Addr().String()).Port()
	if lost, err := c.mustReplace(ctx, g); lost || err == nil {
		t.Errorf("a stranger listens: %v, %v", lost, err)
	}
	if isDefinite(Judgment{Ownership: proof.Foreign, Verdict: proof.Timeout}) {
		t.Error("a stranger beside a slow gateway lets it be replaced")
	}
}

// TestGone checks that awaitGone waits for the end, also of a zombie. Until then it
// notes when the process was last alive.
func TestGone(t *testing.T) {
	cmd := exec.Command("/bin/sleep", "1000")
	testenv.Must(t, cmd.Start())
	defer endProcess(cmd)
	testenv.Executed(t, cmd.Process.Pid)
	n, err := sys.PidfdOpen(cmd.Process.Pid)
	testenv.Must(t, err)
	fd := os.NewFile(uintptr(n), "pidfd")
	defer fd.Close()
	born, err := procfs.Identify(cmd.Process.Pid)
	testenv.Must(t, err)
	since := uint64(0)
	if err := awaitGone(testenv.Within(t, 100*time.Millisecond), fd, &since); !errors.Is(err, context.DeadlineExceeded) || since < born.Start {
		t.Errorf("of one that lives: %v; last seen at %d, started at %d", err, since, born.Start)
	}
	testenv.Must(t, cmd.Process.Kill())
	testenv.Must(t, awaitGone(testenv.Within(t, time.Minute), fd, &since))
	if now := sys.BootTicks(); now < since {
		t.Errorf("last seen at %d, now it is %d", since, now)
	}
	if err := awaitGone(testenv.Within(t, time.Minute), os.NewFile(1<<20, "closed"), &since); !errors.Is(err, unix.EBADF) {
		t.Errorf("a closed descriptor: %v", err)
	}
}

// TestJudgeElsewhere judges a gateway in its own network namespace.
func TestJudgeElsewhere(t *testing.T) {
	if !testenv.Inside(t, unix.CLONE_NEWPID|unix.CLONE_NEWNS) {
		return
	}
	ctx := testenv.Within(t, 30*time.Second)
	c, _ := pair(t, sleeps)
	l, err := net.Listen("tcp", "127.0.0.1:0") // a foreign listener, in our namespace
	testenv.Must(t, err)
	defer l.Close()
	c.Port = netip.MustParseAddrPort(l.Addr().String()).Port()
	cmd := exec.Command("/bin/sleep", "1000")
	cmd.Env, cmd.SysProcAttr = []string{"TOKEN=x"}, &syscall.SysProcAttr{Setsid: true, Cloneflags: unix.CLONE_NEWNET}
	testenv.Must(t, cmd.Start())
	defer endProcess(cmd)
	testenv.Executed(t, cmd.Process.Pid)
	g, err := procfs.Hold(cmd.Process.Pid)
	testenv.Must(t, err)
	defer g.Close()
	if a, err := c.Judge(ctx, g, proof.Prove); err != nil || a.Ownership != proof.Missing {
		t.Errorf("%+v, %v", a, err)
	}
}

// TestPrepared checks that obstacles to the next start are found before the gateway ends.
func TestPrepared(t *testing.T) {
	if !testenv.Inside(t, unix.CLONE_NEWPID|unix.CLONE_NEWNS) {
		return
	}
	ctx := testenv.Within(t, 30*time.Second)
	c, _ := pair(t, sleeps)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	testenv.Must(t, err)
	f, err := l.(*net.TCPListener).File()
	testenv.Must(t, err)
	testenv.Must(t, l.Close()) // only the gateway has it open now
	cmd := exec.Command("/bin/sleep", "1000")
	cmd.Env, cmd.SysProcAttr, cmd.ExtraFiles = []string{"TOKEN=x"}, &syscall.SysProcAttr{Setsid: true}, []*os.File{f}
	testenv.Must(t, cmd.Start())
	defer endProcess(cmd)
	testenv.Executed(t, cmd.Process.Pid)
	testenv.Must(t, f.Close())
	port := netip.MustParseAddrPort(l.Addr().String()).Port()
	c.Port = port
	var g *procfs.Held
	testenv.Eventually(t, "it is there", func() bool {
		g, err = procfs.Hold(cmd.Process.Pid)
		return err == nil && len(g.Argv) > 0 && g.Argv[0] == "/bin/sleep"
	})
	defer g.Close()
	testenv.Must(t, c.checkPrepared(ctx, g))
	beside, err := net.Listen("tcp", "127.0.0.2:"+strconv.Itoa(int(port)))
	testenv.Must(t, err)
	if f := (*Failure)(nil); !errors.As(c.replace(ctx, g), &f) || f.Reason != reason.ListenerForeign || !strings.Contains(f.Error(), "beside the gateway") {
		t.Errorf("somebody beside it: %v", err)
	}
	testenv.Must(t, beside.Close())
	testenv.Must(t, c.checkPrepared(ctx, g))
	script := t.TempDir() + "/script"
	testenv.Must(t, errors.Join(os.WriteFile(script, nil, 0o777), os.Chmod(script, 0o777)))
	for name, change := range map[string]func(){
		"script":  func() { c.Command = []string{"/bin/sh", script} },
		"program": func() { c.Command = []string{script} },
		"sidecar": func() { c.sidecars = []config.Sidecar{{Command: []string{"/bin/sh", script}}} },
	} {
		c.Command, c.sidecars = []string{"/bin/sleep"}, nil
		change()
		f := (*Failure)(nil)
		if err := c.replace(ctx, g); !errors.Is(err, fsafe.ErrUnsafe) || !errors.As(err, &f) || f.Reason != reason.UnsafeConfig {
			t.Errorf("%s: %v", name, err)
		}
	}
	c.Command, c.sidecars, c.WorkingDir = []string{"/bin/sleep"}, nil, t.TempDir()+"/gone"
	if f := (*Failure)(nil); !errors.As(c.replace(ctx, g), &f) || f.Reason != reason.LaunchFailed || !strings.Contains(f.Error(), "gateway.working_dir") {
		t.Errorf("a working directory that has gone: %v", f)
	}
	if err := g.Verify(); err != nil {
		t.Errorf("it was ended all the same: %v", err)
	}
}
