// SPDX-License-Identifier: Apache-2.0

package supervisor

import (
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/gateway-init/gateway-init/internal/reason"
	"github.com/gateway-init/gateway-init/internal/sys"
	"github.com/gateway-init/gateway-init/supervisor/launch"
	"github.com/gateway-init/gateway-init/supervisor/reexec"
)

// silent is the program of a re-exec child that never answers.
const silent = "/gateway"

// TestMain is also the re-exec child: launch executes this program.
func TestMain(m *testing.M) {
	if os.Args[0] != launch.ReexecName {
		os.Exit(m.Run())
	}
	if os.Args[1] != silent {
		os.Exit(reexec.Run())
	}
	time.Sleep(time.Minute)
}

// silent starts a child whose re-exec child does not answer.
func (d *fixture) silent(c *child) *child { return d.child(c, silent) }

// child starts a child that executes argv.
func (d *fixture) child(c *child, argv ...string) *child {
	d.t.Helper()
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	check(d.t, err)
	defer null.Close()
	l := launch.Child{UID: uint32(os.Getuid()), GID: uint32(os.Getgid()), Stdio: [3]*os.File{null, null, null}}
	l.Spec.Argv, l.Spec.Dir, l.Spec.Env = argv, "/", []string{"PATH=/usr/bin:/bin"}
	check(d.t, d.start(l, c))
	d.t.Cleanup(func() {
		if c.alive() {
			c.signal(syscall.SIGKILL)
			d.await(c)
		}
	})
	return c
}

// await reaps until c has ended.
func (d *fixture) await(c *child) {
	d.t.Helper()
	for end := time.Now().Add(20 * time.Second); c.alive(); time.Sleep(time.Millisecond) {
		if d.reap(); time.Now().After(end) {
			d.t.Fatal("it lives on")
		}
	}
}

// TestLateAnswer checks that a re-exec child that answers too late is killed, and the
// gateway tried again. Otherwise it would be starting forever.
func TestLateAnswer(t *testing.T) {
	late := &launch.Failure{Step: launch.StepDied, Errno: syscall.ETIMEDOUT}
	d := newFixture(t)
	d.unit.phase, d.unit.start.launchedBefore, d.c.Gateway.Spec.Argv = phaseStarting, true, []string{silent}
	d.unit.child = d.silent(&child{role: roleGateway})
	g := d.unit.child
	d.answered(answer{g, "", late})
	d.await(g)
	d.apply()
	if d.unit.phase != phaseBackingOff || d.unit.trouble.reason != reason.LaunchFailed || d.unit.crashes != 0 || !d.timers.armed(retryTimer) {
		t.Errorf("%v, %s %q, %d crashes", d.unit.phase, d.unit.trouble.reason, d.unit.trouble.detail, d.unit.crashes)
	}
	if d.unit.lastExit.Signal != int(syscall.SIGKILL) || strings.Contains(d.log.String(), "internal") {
		t.Errorf("%+v; logged %s", d.unit.lastExit, d.log.String())
	}

	// A worker executes no target, and has its own deadline.
	w := d.silent(&child{role: roleWorker})
	d.answered(answer{w, "", late})
	time.Sleep(20 * time.Millisecond)
	if d.reap(); !w.alive() {
		t.Error("a worker was ended")
	}
}

// TestSignalsWaitForTheTarget checks that only SIGKILL is sent before the answer.
func TestSignalsWaitForTheTarget(t *testing.T) {
	for name, send := range map[string]func(*child, syscall.Signal) error{"process": (*child).signal, "group": (*child).signalGroup} {
		for answer, err := range map[string]error{"target": nil, "late": &launch.Failure{Step: launch.StepDied, Errno: syscall.ETIMEDOUT}} {
			t.Run(name+"/"+answer, func(t *testing.T) { testWaiting(t, send, err) })
		}
		d := newFixture(t)
		c := d.silent(&child{role: roleWorker})
		check(t, send(c, syscall.SIGKILL))
		if d.await(c); c.exit.Status.Signal() != syscall.SIGKILL {
			t.Errorf("%s: ended with %v", name, c.exit)
		}
	}
}

func testWaiting(t *testing.T, send func(*child, syscall.Signal) error, err error) {
	d := newFixture(t)
	c := d.silent(&child{role: roleWorker})
	check(t, send(c, syscall.SIGTERM))
	time.Sleep(20 * time.Millisecond)
	if d.reap(); !c.alive() {
		t.Fatalf("the re-exec child has got it: %v", c.exit)
	}
	d.answered(answer{c, "", err})
	if d.await(c); c.exit.Status.Signal() != syscall.SIGTERM {
		t.Errorf("ended with %v", c.exit)
	}
}

// TestTermInALaunch checks that SIGTERM ends a child whenever it comes in the launch.
// Sent to the re-exec child at once, one in some 600 was lost.
func TestTermInALaunch(t *testing.T) {
	const rounds = 400
	d := newFixture(t)
	sleeper := func() *child { return d.child(&child{role: roleWorker}, "sleep", "1000") }
	begin := time.Now()
	sleeper()
	d.answered(<-d.answers)
	launch := time.Since(begin)
	waited := 0
	for i := range rounds {
		c := sleeper()
		for end := time.Now().Add(time.Duration(i%100) * launch / 50); time.Now().Before(end); {
			select {
			case a := <-d.answers:
				d.answered(a)
			default:
			}
		}
		if check(t, c.signal(syscall.SIGTERM)); !c.reported {
			waited++
			d.answered(<-d.answers)
		}
		if d.await(c); c.exit.Status.Signal() != syscall.SIGTERM || c.err != nil {
			t.Fatalf("round %d: ended with %v, %v", i, c.exit, c.err)
		}
	}
	if waited == 0 || waited == rounds {
		t.Errorf("the signal came to a re-exec child in %d of %d launches", waited, rounds)
	}
}

// TestWaitingSignalFails checks that the other signals are sent all the same.
func TestWaitingSignalFails(t *testing.T) {
	d := newFixture(t)
	c := d.silent(&child{role: roleWorker})
	c.waiting = append(c.waiting, func() error { return syscall.EPERM })
	check(t, c.signal(syscall.SIGTERM))
	d.answered(answer{c, "", nil})
	if d.await(c); c.exit.Status.Signal() != syscall.SIGTERM || !strings.Contains(d.log.String(), "cannot signal the target of a re-exec child") {
		t.Errorf("ended with %v; logged %s", c.exit, d.log.String())
	}
}

// TestOrphansCauseNoRecord checks that the end of orphans costs no status record, and
// that the end of our own child does.
func TestOrphansCauseNoRecord(t *testing.T) {
	d := newFixture(t).serving()
	d.c.Signals = Signals{Child: make(chan os.Signal, 1)}
	d.publish()
	ended := []int{501, 502, 503}
	d.kernel.peek = func() (int, error) {
		if len(ended) == 0 {
			return 0, nil
		}
		return ended[0], nil
	}
	d.kernel.reap = func(pid int) (sys.Exit, error) {
		ended = ended[1:]
		return sys.Exit{PID: pid}, nil
	}
	d.c.Signals.Child <- syscall.SIGCHLD
	d.lastRecord = nil // the next look would write
	d.round()          // takes the signal
	d.lastRecord = nil
	d.c.Signals.Child <- syscall.SIGCHLD
	written := len(d.published)
	d.round()
	if len(d.published) != written {
		t.Errorf("orphans caused %d records", len(d.published)-written)
	}
	own := &child{proc: &launch.Proc{PID: 504}, reported: true, role: roleWorker}
	d.children[504], ended = own, []int{504}
	d.c.Signals.Child <- syscall.SIGCHLD
	d.round() // reaps it
	d.lastRecord = nil
	d.c.Signals.Child <- syscall.SIGCHLD
	d.round()
	if len(d.published) != written+1 {
		t.Errorf("our own child caused %d records", len(d.published)-written)
	}
}
