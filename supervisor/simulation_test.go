// SPDX-License-Identifier: Apache-2.0

package supervisor

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rs/zerolog"

	"github.com/gateway-init/gateway-init/internal/config"
	"github.com/gateway-init/gateway-init/internal/status"
	"github.com/gateway-init/gateway-init/supervisor/control"
	"github.com/gateway-init/gateway-init/supervisor/launch"
)

// TestSimulation runs some schedules, and many in the long rounds. SIMULATION_SEED=N runs
// one again.
const (
	someSchedules = 300
	manySchedules = 10_000
)

// TestSimulation runs the loop with simulated children, proofs, requests and clock. Each
// seed is another schedule of faults. It checks that
//   - each request is answered once,
//   - there are never two gateways,
//   - no request succeeds without a proof of the gateway that it names,
//   - the record counts each gateway once,
//   - the gateway runs in the end if that is wanted, and nothing runs after the end,
//   - an idle loop wakes up for its health checks only,
//   - no process that has the token outlives its gateway, or gets it before the proof,
//   - a process that a sidecar leaves behind is told to end, then killed, and does not
//     outlive its grace or meet the next one,
//   - the relay passes bytes to a gateway that lives and was proven, and to no former one,
//   - no event comes in a phase in which it cannot happen.
func TestSimulation(t *testing.T) {
	first, last := uint64(1), uint64(someSchedules)
	if os.Getenv("GATEWAY_TEST_LONG") != "" {
		last = manySchedules
	}
	if seed, err := strconv.ParseUint(os.Getenv("SIMULATION_SEED"), 10, 64); err == nil {
		first, last = seed, seed
	}
	entered := map[string]bool{}
	var counted status.Starts
	for seed := first; seed <= last && !t.Failed(); seed++ {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(seed)
			w.entered = entered
			simulate(t, w, seed)
			counted.Requested += w.counted.Requested
			counted.Exited += w.counted.Exited
			counted.Unresponsive += w.counted.Unresponsive
			counted.Failed += w.counted.Failed
		})
	}
	if c := counted; first != last && !t.Failed() && (c.Requested == 0 || c.Exited == 0 || c.Unresponsive == 0 || c.Failed == 0) {
		t.Errorf("no schedule has one of these starts: %+v", c)
	}
	for p := range phases {
		if !entered[p.String()] && first != last && !t.Failed() {
			t.Errorf("no schedule enters %v: lower the limits in newWorld for some seeds", p)
		}
	}
}

// simulate runs one schedule.
func simulate(t *testing.T, w *world, seed uint64) {
	ended := make(chan int)
	go func() {
		code, _ := w.s.Run()
		ended <- code
	}()
	w.rest(2 * time.Second)
	for range 3 + w.plan.IntN(20) {
		w.disturb()
		w.rest(time.Duration(w.plan.IntN(20_000)) * time.Millisecond)
	}
	w.calmDown()
	time.Sleep(15 * time.Minute)
	synctest.Wait()
	w.mu.Lock()
	if r := w.latest; r.Goal == status.GoalRun && r.State != status.Running {
		w.fail("after 15 calm minutes it is %s: %s %s; if only a request leaves this phase, send it in simulate", r.State, r.Reason, r.Detail)
	}
	if w.open() > 0 {
		w.fail("%d requests have no answer", w.open())
	}
	before := w.looks
	w.mu.Unlock()
	time.Sleep(10 * time.Minute)
	synctest.Wait()
	w.mu.Lock()
	if n := w.looks - before; n > 20*8 { // a check each 30 s: timer, answer, exit, and what they cause
		w.fail("%d wakeups in ten idle minutes", n)
	}
	w.request(control.Restart, 0)
	w.mu.Unlock()
	w.rest(200 * time.Millisecond)
	w.s.c.Signals.Stop <- syscall.SIGTERM
	select {
	case <-ended:
	case <-time.After(time.Minute):
		t.Fatalf("seed %d: the container does not end", seed)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.open() > 0 {
		w.fail("%d requests have no answer after the end", w.open())
	}
	w.checkStarts()
	for _, p := range w.all {
		if p.alive && p.kind != "worker" {
			w.fail("%s %d lives after the end", p.kind, p.pid)
		}
	}
	close(w.over)
	for _, problem := range w.problems {
		t.Errorf("seed %d: %s", seed, problem)
	}
}

// newWorld returns a supervisor in a simulated container.
func newWorld(seed uint64) *world {
	w := &world{plan: rand.New(rand.NewPCG(seed, 1)), rng: rand.New(rand.NewPCG(seed, 2)), processes: map[int]*simulated{}, entered: map[string]bool{}, answers: map[string]int{},
		frames: make(chan control.Incoming, 64), over: make(chan struct{}), next: 10, token: 1}
	gateway := config.Gateway{Port: 18789, StopGrace: 7 * time.Second, BackoffMin: 200 * time.Millisecond,
		BackoffMax: 30 * time.Second, ResetAfter: time.Minute, StopSignal: syscall.SIGTERM,
		Ready: config.Probe{Timeout: time.Minute}, GiveUp: 100 * time.Second,
		Health: config.Probe{Timeout: 3 * time.Second, Interval: 30 * time.Second}}
	child := func(name string, uid uint32, token bool) launch.Child {
		c := launch.Child{Spec: launch.Spec{Argv: []string{name}}, UID: uid}
		if token {
			c.Spec.Token = &launch.Token{Env: "TOKEN"}
		}
		return c
	}
	main := child("gateway", gatewayUID, true)
	beside := []launch.Child{child("holder", operatorUID, true), child("once", operatorUID, true), child("plain", agentUID, false)}
	command := child("command", agentUID, false)
	c := Config{
		Settings: &config.Config{Gateway: gateway, CommandStart: "after-gateway", Sidecars: []config.Sidecar{
			{Name: "holder", Restart: "always"}, {Name: "once", Restart: "on-failure"}, {Name: "plain", Restart: "always"}}},
		Gateway: &main, Command: &command, Worker: child("worker", gatewayUID, false),
		Sidecars: beside,
		Token:    w, Server: w, Sweeper: w, Others: []uint32{agentUID, operatorUID},
		Validate: func() error { return w.maybe(20) }, Launchable: func() error { return w.maybe(20) }, Room: func() error { return w.maybe(20) }, Prepare: func() error { return w.maybe(30) },
		Clients: func() (bool, error) { return w.maybe(4) != nil, nil }, ForgetClients: func() error { return nil },
		Publish: w.publish, Evict: func(int, func(int) bool) (int, error) { return w.upToOne(), nil },
		Signals: Signals{Child: make(chan os.Signal, 1), Stop: make(chan os.Signal, 4), Shared: make(chan os.Signal)},
		Log:     zerolog.New(logWatch{w}),
	}
	if seed%8 == 0 { // --no-gateway
		c.Gateway, c.Sidecars = nil, nil
	}
	if seed%2 == 1 {
		w.addRelay(&c)
	}
	if seed%4 == 1 {
		c.PickPort = func() (uint16, error) { return 18789, w.maybe(20) }
	}
	w.s = New(c)
	w.s.kernel = w.kernel()
	return w
}

// disturb does one thing that an operator, the agent or fate may do.
func (w *world) disturb() {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch w.plan.IntN(9) {
	case 0, 1, 2, 3:
		actions := control.Actions()
		w.request(actions[w.plan.IntN(len(actions))], w.plan.IntN(3))
	case 4:
		w.kill("gateway")
	case 5:
		w.kill([]string{"holder", "once", "plain", "worker", "relay"}[w.plan.IntN(5)])
	case 6:
		w.foreign = !w.foreign
	case 7:
		w.sick = !w.sick
	case 8:
		w.forks = !w.forks
	}
}

// calmDown ends all faults. A request makes sure that nothing waits for one.
func (w *world) calmDown() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.foreign, w.sick, w.forks, w.calm = false, false, false, true
	w.request(control.Probe, 0)
}

func (w *world) request(a control.Action, variant int) {
	w.nonces++
	r := control.Request{Nonce: fmt.Sprintf("%064x", w.nonces), Action: a}
	if a == control.Restart {
		r.Rotate = variant == 1
		r.Drain = 20 * (variant / 2)
	}
	w.answers[r.Nonce] = 0
	w.frames <- control.Incoming{Request: r}
}

// open counts the requests that have no answer.
func (w *world) open() (n int) {
	for _, answers := range w.answers {
		if answers == 0 {
			n++
		}
	}
	return n
}

// rest waits for up to d.
func (w *world) rest(d time.Duration) {
	time.Sleep(time.Duration(w.plan.Int64N(int64(d) + 1)))
}

// maybe is sometimes for callers without the lock.
func (w *world) maybe(n int) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.sometimes(n)
}

// sometimes returns an error once in n calls, unless it is calm. The caller has the
// lock.
func (w *world) sometimes(n int) error {
	if !w.calm && w.rng.IntN(n) == 0 {
		return errors.New("it happens")
	}
	return nil
}

// TestSimulationIsReplayed checks that a seed gives the same schedule again.
func TestSimulationIsReplayed(t *testing.T) {
	run := func(seed uint64) (story string) {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(seed)
			w.heard = &story
			simulate(t, w, seed)
		})
		return story
	}
	for seed := range uint64(5) {
		if first, again := run(seed), run(seed); first != again || first == "" {
			t.Errorf("seed %d has two stories", seed)
		}
	}
}
