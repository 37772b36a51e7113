package supervisor

import (
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"gatewayinit/internal/launch"
	"gatewayinit/supervisor/control"
)

// TestMain is also a stage that never answers: launch executes this program.
func TestMain(m *testing.M) {
	if os.Args[0] == launch.StageName {
		time.Sleep(time.Minute)
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// silent starts a child whose stage does not answer.
func (d *desk) silent(c *child) *child {
	d.t.Helper()
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	check(d.t, err)
	defer null.Close()
	l := launch.Child{UID: uint32(os.Getuid()), GID: uint32(os.Getgid()), Stdio: [3]*os.File{null, null, null}}
	l.Spec.Argv = []string{"/gateway"}
	check(d.t, d.start(l, c))
	d.t.Cleanup(func() {
		if c.alive() {
			c.proc.Signal(syscall.SIGKILL)
			d.await(c)
		}
	})
	return c
}

// await reaps until c has ended.
func (d *desk) await(c *child) {
	d.t.Helper()
	for end := time.Now().Add(20 * time.Second); c.alive(); time.Sleep(time.Millisecond) {
		if d.reap(); time.Now().After(end) {
			d.t.Fatal("it lives on")
		}
	}
}

// A stage that answers too late is ended, and the gateway tried again: nothing
// would ever have proved it.
func TestLateAnswer(t *testing.T) {
	late := &launch.Failure{Step: launch.StepDied, Errno: syscall.ETIMEDOUT}
	d := newDesk(t)
	d.phase, d.tried, d.c.Gateway.Spec.Argv = Starting, true, []string{"/gateway"}
	d.gateway = d.silent(&child{up: d.gatewayUp, done: d.gatewayDone})
	g := d.gateway
	d.answered(answer{g, late})
	d.await(g)
	d.apply()
	if d.phase != Waiting || d.rec.Reason != string(control.LaunchFailed) || d.rec.Crashes != 0 || !d.timers.armed(retryTimer) {
		t.Errorf("%v, %s %q, %d crashes", d.phase, d.rec.Reason, d.rec.Detail, d.rec.Crashes)
	}
	if d.rec.LastExit.Signal != int(syscall.SIGKILL) || strings.Contains(d.log.String(), "internal") {
		t.Errorf("%+v; logged %s", d.rec.LastExit, d.log.String())
	}

	// A worker has no target to wait for, and time of its own.
	w := d.silent(&child{done: func(*child) {}})
	d.answered(answer{w, late})
	time.Sleep(20 * time.Millisecond)
	if d.reap(); !w.alive() {
		t.Error("a worker was ended")
	}
}
