// SPDX-License-Identifier: Apache-2.0

package external

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/gateway-init/gateway-init/internal/config"
	"github.com/gateway-init/gateway-init/internal/procfs"
	"github.com/gateway-init/gateway-init/internal/testenv"
	"github.com/gateway-init/gateway-init/supervisor/proof"
)

// parentEnv makes this program the parent of the children that its value lists, in JSON.
const parentEnv = "CONTROLLER_PARENT"

// child is a child of such a parent.
type child struct {
	Name    string // its argv[0]
	Env     []string
	Session bool // it leads one
}

func startChildren(list string) error {
	var children []child
	if err := json.Unmarshal([]byte(list), &children); err != nil {
		return err
	}
	runtime.LockOSThread() // Pdeathsig is sent when the thread ends
	for _, c := range children {
		cmd := &exec.Cmd{Path: "/bin/sleep", Args: []string{c.Name, "1000"}, Env: c.Env,
			SysProcAttr: &syscall.SysProcAttr{Setsid: c.Session, Pdeathsig: syscall.SIGKILL}}
		if len(c.Env) > 0 && c.Env[0] == testenv.Headless {
			cmd.Path = "/proc/self/exe"
		}
		if err := cmd.Start(); err != nil {
			return err
		}
	}
	time.Sleep(time.Hour)
	return errors.New("an hour has passed")
}

// startSupervisor starts a parent of the user testenv.Stranger, and returns a controller
// of it.
func startSupervisor(t *testing.T, children ...child) *Controller {
	t.Helper()
	testenv.Root(t)
	list, err := json.Marshal(children)
	testenv.Must(t, err)
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = []string{parentEnv + "=" + string(list)}
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: testenv.Stranger, Gid: testenv.Stranger}}
	testenv.Must(t, cmd.Start())
	t.Cleanup(func() { endProcess(cmd) })
	testenv.Eventually(t, "its children", func() bool {
		pids, err := procfs.Children(cmd.Process.Pid, 10)
		return err == nil && len(pids) == len(children) && !slices.ContainsFunc(pids, func(pid int) bool {
			st, err := procfs.ReadStat(pid) // the runtime makes a child of its own, which ends at once
			line, _ := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/cmdline")
			executed := st.Comm == "sleep" && strings.HasSuffix(string(line), "\x001000\x00")
			return err != nil || !executed && (st.State != 'Z' || st.Threads == 1)
		})
	})
	held, err := procfs.Hold(cmd.Process.Pid)
	testenv.Must(t, err)
	c := &Controller{Gateway: config.Gateway{TokenEnv: "TOKEN"}, Supervisor: &Supervisor{held}, stages: stages{say: quiet}}
	t.Cleanup(held.Close)
	return c
}

// TestGatewayIsTheChildWithTheToken checks that a gateway is a child with the token's
// variable that leads a session and is no sidecar. Only its user sees that.
func TestGatewayIsTheChildWithTheToken(t *testing.T) {
	ctx := testenv.Within(t, 20*time.Second)
	c := startSupervisor(t,
		child{"gateway", []string{"TOKEN=x"}, true},
		child{"sidecar", []string{"TOKEN=x", config.SidecarEnv + "=relay"}, true},
		child{"other", []string{"TOKENS=x", "TOKEN"}, true},
		child{"none", nil, true},
		child{"of another session", []string{"TOKEN=x"}, false}) // an orphan that a former gateway left behind
	g, err := c.lookNow(ctx)
	testenv.Must(t, err)
	defer g.Close()
	if g.Argv[0] != "gateway" || c.token != fmt.Sprintf("%x", sha256.Sum256([]byte("x"))) {
		t.Errorf("found %q with %s", g.Argv, c.token)
	}
	for uid, want := range map[uint32]string{testenv.Stranger: "TOKEN=x\x00", testenv.Gateway: ""} {
		if env, err := (user{uid, testenv.Stranger}).environ(ctx, g); err != nil || string(env) != want {
			t.Errorf("uid %d sees %q, %v", uid, env, err)
		}
	}
	c.Supervisor.Start++
	if _, err := c.lookNow(ctx); !errors.Is(err, errChanged) {
		t.Errorf("of another supervisor: %v", err)
	}
	c.Supervisor.PID = 1 << 30
	if _, err := c.lookNow(ctx); !errors.Is(err, procfs.ErrGone) {
		t.Errorf("of no process: %v", err)
	}
}

// TestHeadless checks that a child whose environment cannot be read any more counts as a
// possible gateway, so the answer is not that no gateway runs.
func TestHeadless(t *testing.T) {
	ctx := testenv.Within(t, 20*time.Second)
	headless := child{"headless", []string{testenv.Headless}, true}
	if _, err := startSupervisor(t, headless).FindGateway(ctx); !errors.Is(err, errHeadless) || reasonOf(err) != "unproven" {
		t.Errorf("alone: %v", err)
	}
	g, err := startSupervisor(t, headless, child{"gateway", []string{"TOKEN=x"}, true}).FindGateway(ctx)
	testenv.Must(t, err)
	defer g.Close()
	if g.Argv[0] != "gateway" {
		t.Errorf("beside the gateway: %q", g.Argv)
	}
}

// TestWithoutList looks at all processes, as on a kernel without a list of children.
func TestWithoutList(t *testing.T) {
	if !testenv.Inside(t, unix.CLONE_NEWPID|unix.CLONE_NEWNS) {
		return
	}
	c := startSupervisor(t, child{"gateway", []string{"TOKEN=x"}, true})
	d := t.TempDir()
	testenv.Must(t, errors.Join(os.Mkdir(d+"/1", 0o755), os.Chmod(d, 0o755), unix.Mount(d, "/proc/"+strconv.Itoa(c.Supervisor.PID)+"/task", "", unix.MS_BIND, "")))
	g, err := c.FindGateway(testenv.Within(t, 20*time.Second))
	testenv.Must(t, err)
	g.Close()
}

// startListener starts a process of another user that listens and answers nothing.
func startListener(t *testing.T) (p *procfs.Held, port uint16) {
	t.Helper()
	testenv.Root(t)
	// The socket belongs to the user who makes it.
	l, err := as(testenv.Within(t, time.Minute), stranger, nil, func() (net.Listener, error) { return net.Listen("tcp4", "127.0.0.1:0") })
	testenv.Must(t, err)
	defer l.Close()
	f, err := l.(*net.TCPListener).File()
	testenv.Must(t, err)
	defer f.Close()
	return startHeld(t, &syscall.SysProcAttr{}, f), netip.MustParseAddrPort(l.Addr().String()).Port()
}

// startHeld starts a process of the user testenv.Stranger.
func startHeld(t *testing.T, attr *syscall.SysProcAttr, files ...*os.File) *procfs.Held {
	t.Helper()
	attr.Credential = &syscall.Credential{Uid: testenv.Stranger, Gid: testenv.Stranger}
	cmd := &exec.Cmd{Path: "/bin/sleep", Args: []string{"sleep", "1000"}, ExtraFiles: files, SysProcAttr: attr}
	testenv.Must(t, cmd.Start())
	t.Cleanup(func() { endProcess(cmd) })
	testenv.Executed(t, cmd.Process.Pid)
	p, err := procfs.Hold(cmd.Process.Pid)
	testenv.Must(t, err)
	t.Cleanup(p.Close)
	return p
}

var stranger = user{testenv.Stranger, testenv.Stranger}

func jobOf(port uint16) proof.Job {
	return proof.Job{Mode: proof.Health, Port: port, Deadline: 200 * time.Millisecond, Check: config.Probe{Path: "/", Status: []int{200}}}
}

// TestJudge checks that only a process that has the port open is its owner.
func TestJudge(t *testing.T) {
	ctx := testenv.Within(t, 20*time.Second)
	p, port := startListener(t)
	other := startHeld(t, &syscall.SysProcAttr{})
	if a, err := stranger.judge(ctx, p, jobOf(port), ""); err != nil || a.Ownership != proof.Ours || a.Verdict == proof.OK {
		t.Errorf("its own: %+v, %v", a, err)
	}
	if a, err := stranger.judge(ctx, other, jobOf(port), ""); err != nil || a.Ownership != proof.Foreign || len(a.Foreign) != 1 || a.Verdict != proof.ForeignPeer {
		t.Errorf("another's: %+v, %v", a, err)
	}
	if a, err := stranger.judge(ctx, other, jobOf(1), ""); err != nil || a.Ownership != proof.Missing {
		t.Errorf("of no process: %+v, %v", a, err)
	}
	later := *p
	later.Start++
	if _, err := stranger.judge(ctx, &later, jobOf(port), ""); !errors.Is(err, procfs.ErrReplaced) {
		t.Errorf("a process that is another one: %v", err)
	}
	one, err := procfs.Hold(1)
	testenv.Must(t, err)
	defer one.Close()
	if _, err := stranger.judge(ctx, one, jobOf(port), ""); err == nil || !strings.Contains(err.Error(), "permission denied") || reasonOf(err) != "unproven" {
		t.Errorf("a process that belongs to root: %v", err)
	}
	for port, want := range map[uint16]int{port: 1, 1: 0} {
		u := &Unmanaged{settings: config.Gateway{Port: port}, stages: stages{say: quiet}}
		if err := u.find(ctx, ownsNone); (err == nil) != (want == 1) || want == 1 && u.Stat.ID() != p.ID() {
			t.Errorf("holders of %d: %+v, %v", port, u.Stat, err)
		}
	}
}

// TestJudgeInAnotherNetwork checks that a process with its own network namespace is judged
// in there, and that no other thread is taken there.
func TestJudgeInAnotherNetwork(t *testing.T) {
	ctx := testenv.Within(t, 20*time.Second)
	_, port := startListener(t)
	p := startHeld(t, &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWNET})
	if a, err := stranger.judge(ctx, p, jobOf(port), ""); err != nil || a.Ownership != proof.Missing {
		t.Errorf("%+v, %v", a, err)
	}
	mine, err := os.Readlink("/proc/thread-self/ns/net")
	testenv.Must(t, err)
	testenv.Eventually(t, "the end of the thread that was there", func() bool {
		tasks, err := filepath.Glob("/proc/self/task/*/ns/net")
		testenv.Must(t, err)
		return !slices.ContainsFunc(tasks, func(task string) bool {
			theirs, err := os.Readlink(task)
			return err == nil && theirs != mine
		})
	})
}

// TestLookThatHangs checks that a look that does not return ends at the deadline.
func TestLookThatHangs(t *testing.T) {
	testenv.Root(t)
	hang := make(chan struct{})
	defer close(hang)
	n, err := as(testenv.Within(t, 50*time.Millisecond), stranger, nil, func() (int, error) { <-hang; return 1, nil })
	if n != 0 || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("%d, %v", n, err)
	}
}
