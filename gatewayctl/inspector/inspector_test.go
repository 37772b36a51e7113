// SPDX-License-Identifier: Apache-2.0

package inspector

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/gateway-init/gateway-init/gatewayctl/stepdown"
	"github.com/gateway-init/gateway-init/internal/config"
	"github.com/gateway-init/gateway-init/internal/procfs"
	"github.com/gateway-init/gateway-init/internal/testenv"
	"github.com/gateway-init/gateway-init/supervisor/proof"
)

// TestMain runs an inspector if a test has started this binary as one.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == stepdown.Arg {
		_, err := stepdown.Enter(os.Args[2:])
		if Serve(err, os.Stdin, os.Stdout) != nil {
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// startInspector starts an inspector of the user, which ends with the test.
func startInspector(t *testing.T, ctx context.Context, uid uint32, network *os.File) *Inspector {
	t.Helper()
	testenv.Root(t)
	w, err := Start(ctx, uid, uid, network)
	testenv.Must(t, err)
	t.Cleanup(w.Close)
	return w
}

// startChild starts a child of this test as another user.
func startChild(t *testing.T, env []string, argv ...string) procfs.ID {
	t.Helper()
	cmd := &exec.Cmd{Path: "/bin/sleep", Args: argv, Env: env,
		SysProcAttr: &syscall.SysProcAttr{Setsid: argv[0] != "of another session", Credential: &syscall.Credential{Uid: testenv.Stranger, Gid: testenv.Stranger}}}
	testenv.Must(t, cmd.Start())
	t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
	testenv.Executed(t, cmd.Process.Pid)
	p, err := procfs.Identify(cmd.Process.Pid)
	testenv.Must(t, err)
	return p
}

// TestChildren checks that a gateway is a child with the token's variable that is
// no sidecar. The inspector sees only the processes of its user.
func TestChildren(t *testing.T) {
	testenv.Root(t)
	ctx := testenv.Within(t, 20*time.Second)
	gateway := startChild(t, []string{"TOKEN=x"}, "gateway", "1000")
	startChild(t, []string{"TOKEN=x", config.SidecarEnv + "=relay"}, "sidecar", "1000")
	startChild(t, []string{"TOKENS=x", "TOKEN"}, "other", "1000")
	startChild(t, []string{}, "none", "1000")
	startChild(t, []string{"TOKEN=x"}, "of another session", "1000") // an orphan that a former gateway left behind
	self, err := procfs.Identify(os.Getpid())
	testenv.Must(t, err)
	q := Question{Children: &Children{Of: self, TokenEnv: "TOKEN"}}
	w := startInspector(t, ctx, testenv.Stranger, nil)
	for range 2 { // one inspector answers many questions
		if a, err := w.Ask(ctx, q); err != nil || !slices.Equal(a.Processes, []procfs.ID{gateway}) {
			t.Errorf("%+v, %v", a, err)
		}
	}
	if a, err := startInspector(t, ctx, testenv.Gateway, nil).Ask(ctx, q); err != nil || len(a.Processes) != 0 {
		t.Errorf("another user sees %+v, %v", a, err)
	}
	q.Children.Of.Start++
	if a, err := w.Ask(ctx, q); err == nil || !strings.Contains(err.Error(), procfs.ErrReplaced.Error()) {
		t.Errorf("of another supervisor: %+v, %v", a, err)
	}
	for name, bad := range map[string]Question{"nothing": {}, "of no process": {Children: &Children{Of: procfs.ID{PID: 1 << 30}}}} {
		if _, err := w.Ask(ctx, bad); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

// TestHeadless checks that a child whose environment cannot be read any more counts as a
// possible gateway, so the inspector does not answer that no gateway runs.
func TestHeadless(t *testing.T) {
	testenv.Root(t)
	ctx := testenv.Within(t, 20*time.Second)
	cmd := exec.Command("/proc/self/exe")
	cmd.Env, cmd.SysProcAttr = []string{testenv.Headless}, &syscall.SysProcAttr{Setsid: true,
		Credential: &syscall.Credential{Uid: testenv.Stranger, Gid: testenv.Stranger}}
	testenv.Must(t, cmd.Start())
	t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
	testenv.Eventually(t, "the end of its first thread", func() bool {
		st, err := procfs.ReadStat(cmd.Process.Pid)
		return err == nil && st.State == 'Z' && st.Threads > 1
	})
	self, err := procfs.Identify(os.Getpid())
	testenv.Must(t, err)
	q := Question{Children: &Children{Of: self, TokenEnv: "TOKEN"}}
	w := startInspector(t, ctx, testenv.Stranger, nil)
	want := fmt.Sprintf("process %d may be the gateway", cmd.Process.Pid)
	if a, err := startInspector(t, ctx, testenv.Gateway, nil).Ask(ctx, q); err != nil || len(a.Processes) != 0 {
		t.Errorf("for another user: %+v, %v", a, err)
	}
	if a, err := w.Ask(ctx, q); err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("alone: %+v, %v", a, err)
	}
	gateway := startChild(t, []string{"TOKEN=x"}, "gateway", "1000")
	if a, err := w.Ask(ctx, q); err != nil || !slices.Equal(a.Processes, []procfs.ID{gateway}) {
		t.Errorf("beside the gateway: %+v, %v", a, err)
	}
}

// TestWithoutList looks at all processes, as on a kernel without a list of children.
func TestWithoutList(t *testing.T) {
	if !testenv.Inside(t, unix.CLONE_NEWPID|unix.CLONE_NEWNS) {
		return
	}
	gateway := startChild(t, []string{"TOKEN=x"}, "gateway", "1000")
	self, err := procfs.Identify(os.Getpid())
	testenv.Must(t, err)
	d := t.TempDir()
	testenv.Must(t, errors.Join(os.Mkdir(d+"/1", 0o755), os.Chmod(d, 0o755), unix.Mount(d, "/proc/1/task", "", unix.MS_BIND, "")))
	q := Question{Children: &Children{Of: self, TokenEnv: "TOKEN"}}
	if a := answer(q); a.Error != "" || !slices.Equal(a.Processes, []procfs.ID{gateway}) {
		t.Errorf("%+v", a)
	}
}

// serve listens in a process of another user and answers nothing.
func serve(t *testing.T) (p procfs.ID, port uint16) {
	t.Helper()
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	testenv.Must(t, err)
	defer l.Close()
	f, err := l.(*net.TCPListener).File()
	testenv.Must(t, err)
	defer f.Close()
	cmd := &exec.Cmd{Path: "/bin/sleep", Args: []string{"sleep", "1000"}, ExtraFiles: []*os.File{f},
		SysProcAttr: &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: testenv.Stranger, Gid: testenv.Stranger}}}
	testenv.Must(t, cmd.Start())
	t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
	testenv.Executed(t, cmd.Process.Pid)
	p, err = procfs.Identify(cmd.Process.Pid)
	testenv.Must(t, err)
	return p, netip.MustParseAddrPort(l.Addr().String()).Port()
}

func judgeOf(p procfs.ID, port uint16) Question {
	return Question{Judge: &Judge{Gateway: p, Job: proof.Job{Mode: proof.Health, Port: port, Deadline: 200 * time.Millisecond,
		Check: config.Probe{Path: "/", Status: []int{200}}}}}
}

// TestJudgeAndHolders checks that only a process that has the port open is its owner.
func TestJudgeAndHolders(t *testing.T) {
	testenv.Root(t)
	ctx := testenv.Within(t, 20*time.Second)
	p, port := serve(t)
	other := startChild(t, nil, "sleep", "1000")
	w := startInspector(t, ctx, testenv.Stranger, nil)
	if a, err := w.Ask(ctx, judgeOf(p, port)); err != nil || a.Ownership != proof.Ours || a.Verdict == proof.OK || a.Elsewhere {
		t.Errorf("its own: %+v, %v", a, err)
	}
	if a, err := w.Ask(ctx, judgeOf(other, port)); err != nil || a.Ownership != proof.Foreign || len(a.Foreign) != 1 || a.Verdict != proof.ForeignPeer {
		t.Errorf("another's: %+v, %v", a, err)
	}
	if a, err := w.Ask(ctx, judgeOf(other, 1)); err != nil || a.Ownership != proof.Missing {
		t.Errorf("of no process: %+v, %v", a, err)
	}
	if _, err := w.Ask(ctx, judgeOf(procfs.ID{PID: p.PID, Start: p.Start + 1}, port)); err == nil {
		t.Error("a process that is another one was judged")
	}
	if _, err := w.Ask(ctx, judgeOf(procfs.ID{PID: 1}, port)); err == nil {
		t.Error("a process of root's was judged")
	}
	if a, err := w.Ask(ctx, Question{Holders: &Holders{Port: port}}); err != nil || !slices.Equal(a.Processes, []procfs.ID{p}) {
		t.Errorf("holders: %+v, %v", a, err)
	}
	if a, err := w.Ask(ctx, Question{Holders: &Holders{Port: 1}}); err != nil || len(a.Processes) != 0 {
		t.Errorf("holders of nothing: %+v, %v", a, err)
	}
}

// TestElsewhere checks that a gateway in its own network namespace is asked in there.
func TestElsewhere(t *testing.T) {
	testenv.Root(t)
	ctx := testenv.Within(t, 20*time.Second)
	cmd := &exec.Cmd{Path: "/bin/sleep", Args: []string{"sleep", "1000"}, SysProcAttr: &syscall.SysProcAttr{
		Cloneflags: unix.CLONE_NEWNET, Credential: &syscall.Credential{Uid: testenv.Stranger, Gid: testenv.Stranger}}}
	testenv.Must(t, cmd.Start())
	t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
	testenv.Executed(t, cmd.Process.Pid)
	p, err := procfs.Identify(cmd.Process.Pid)
	testenv.Must(t, err)
	if a, err := startInspector(t, ctx, testenv.Stranger, nil).Ask(ctx, judgeOf(p, 1)); err != nil || !a.Elsewhere {
		t.Errorf("from here: %+v, %v", a, err)
	}
	network, err := os.Open("/proc/" + strconv.Itoa(p.PID) + "/ns/net")
	testenv.Must(t, err)
	defer network.Close()
	if a, err := startInspector(t, ctx, testenv.Stranger, network).Ask(ctx, judgeOf(p, 1)); err != nil || a.Elsewhere || a.Ownership != proof.Missing {
		t.Errorf("from there: %+v, %v", a, err)
	}
	null, err := os.Open(os.DevNull)
	testenv.Must(t, err)
	defer null.Close()
	if _, err := Start(ctx, testenv.Stranger, testenv.Stranger, null); err == nil || !strings.Contains(err.Error(), "network namespace") {
		t.Errorf("no namespace: %v", err)
	}
}

// TestLost checks that an inspector that ended or was stopped gives ErrLost in time.
func TestLost(t *testing.T) {
	q := Question{Holders: &Holders{Port: 1}}
	ctx := testenv.Within(t, 20*time.Second)
	w := startInspector(t, ctx, testenv.Stranger, nil)
	testenv.Must(t, syscall.Kill(w.process.PID(), syscall.SIGSTOP))
	short := testenv.Within(t, 50*time.Millisecond)
	if _, err := w.Ask(short, q); !errors.Is(err, ErrLost) || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("stopped: %v", err)
	}
	if _, err := w.Ask(ctx, q); !errors.Is(err, ErrLost) || ctx.Err() != nil {
		t.Errorf("asked once more: %v", err)
	}
	w = startInspector(t, ctx, testenv.Stranger, nil)
	testenv.Must(t, w.process.Kill())
	if _, err := w.Ask(ctx, q); !errors.Is(err, ErrLost) {
		t.Errorf("ended: %v", err)
	}
	if _, err := Start(context.Background(), testenv.Stranger, testenv.Stranger, nil); err == nil {
		t.Error("one without a deadline")
	}
}

// TestStepDown checks the rights of the inspector. Its user cannot trace it.
func TestStepDown(t *testing.T) {
	w := startInspector(t, testenv.Within(t, 20*time.Second), testenv.Stranger, nil)
	_, err := w.Ask(testenv.Within(t, 20*time.Second), Question{Holders: &Holders{Port: 1}})
	testenv.Must(t, err)
	s := testenv.Status(t, "/proc/"+strconv.Itoa(w.process.PID())+"/status")
	id := strconv.Itoa(testenv.Stranger)
	four := strings.Join([]string{id, id, id, id}, " ")
	if s["Uid"] != four || s["Gid"] != four || strings.TrimSpace(s["Groups"]) != "" || strings.Trim(s["CapPrm"]+s["CapEff"]+s["CapAmb"], "0") != "" || s["NoNewPrivs"] != "1" {
		t.Errorf("%v", s)
	}
}

// TestServe checks that an inspector that could not step down answers why.
func TestServe(t *testing.T) {
	var out strings.Builder
	testenv.Must(t, Serve(errors.New("cannot become uid 7"), strings.NewReader(`{"holders":{"port":1}}`), &out))
	if !strings.HasPrefix(out.String(), `{"error":"cannot become uid 7"`) {
		t.Errorf("answered %s", out.String())
	}
	if Serve(nil, strings.NewReader("x"), &out) == nil {
		t.Error("a line that is no question")
	}
}
