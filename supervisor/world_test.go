// SPDX-License-Identifier: Apache-2.0

package supervisor

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/gateway-init/gateway-init/internal/procfs"
	"github.com/gateway-init/gateway-init/internal/sockets"
	"github.com/gateway-init/gateway-init/internal/status"
	"github.com/gateway-init/gateway-init/internal/sys"
	"github.com/gateway-init/gateway-init/supervisor/control"
	"github.com/gateway-init/gateway-init/supervisor/launch"
	"github.com/gateway-init/gateway-init/supervisor/proof"
)

// The users of the simulated container.
const (
	gatewayUID  = 1001
	agentUID    = 1000
	operatorUID = 1002
)

var gatewayAddr = netip.MustParseAddrPort("127.0.0.1:18789")

// world is the container of a simulation: its kernel, its agent, its FIFO and its token.
// Whatever the loop, the schedule or a process calls takes the lock first.
type world struct {
	mu        sync.Mutex
	s         *Supervisor
	plan      *rand.Rand         // of the goroutine that disturbs, which runs beside the loop
	rng       *rand.Rand         // of all others; under the lock
	processes map[int]*simulated // by pid
	all       []*simulated       // in the order of their start
	next      int                // the next pid
	token     int                // the number of the token in force
	foreign   bool
	sick      bool // the gateway answers wrongly
	forks     bool // forks are refused now and then
	calm      bool // no more faults
	frames    chan control.Incoming
	answers   map[string]int // final answers, by nonce
	nonces    int
	latest    status.Record
	looks     int // rounds of the loop
	problems  []string
	heard     *string         // gets each log line, if set
	entered   map[string]bool // the phases that were entered
	counted   status.Starts   // what the record has counted in the end
	over      chan struct{}
	launched  int        // gateways
	link      *worldLink // of the newest relay
}

// simulated is a process.
type simulated struct {
	w         *world
	pid       int
	uid       uint32
	kind      string
	token     int  // the number of the token that it has; 0: none
	alive     bool // not a zombie
	reaped    bool
	status    unix.WaitStatus
	listensAt time.Time
	readyAt   time.Time
	proven    bool       // a worker has seen it serve
	stubborn  bool       // SIGTERM does not end it
	leader    *simulated // of its process group, if that is another process
	told      bool       // it got SIGTERM
	doomed    bool       // it got SIGKILL
}

func (w *world) fail(format string, args ...any) {
	w.problems = append(w.problems, fmt.Sprintf(format, args...))
}

func (w *world) upTo(d time.Duration) time.Duration { return time.Duration(w.rng.Int64N(int64(d) + 1)) }

// after calls f after d with the lock, unless the simulation is over. The caller has
// the lock.
func (w *world) after(d time.Duration, f func()) {
	w.later(d, func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		f()
	})
}

// later is after without the lock.
func (w *world) later(d time.Duration, f func()) {
	go func() {
		select {
		case <-time.After(d):
			f()
		case <-w.over:
		}
	}()
}

func (w *world) kernel() kernel {
	return kernel{
		start: w.start, listeners: w.listeners, ofUser: func(uint32) ([]sockets.Listener, error) { return w.listeners(0) }, peek: w.peek, reap: w.reap, trim: func() {},
		probe:    func(uint16) error { return nil },
		identify: func(pid int) (procfs.ID, error) { return procfs.ID{PID: pid, Start: uint64(pid)}, nil },
		verify: func(id procfs.ID) error {
			w.mu.Lock()
			defer w.mu.Unlock()
			if p := w.processes[id.PID]; p == nil || p.reaped || !p.alive {
				return procfs.ErrGone
			}
			return nil
		},
		killAll: func() error {
			w.mu.Lock()
			defer w.mu.Unlock()
			for _, p := range w.all {
				p.signal(syscall.SIGKILL)
			}
			return nil
		},
		isInit: true,
	}
}

// start simulates a fork and what its child does.
func (w *world) start(l launch.Child, report report) (process, error, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.forks && l.Spec.Argv[0] != "command" && w.rng.IntN(3) == 0 { // without its command the container ends
		return nil, nil, syscall.EAGAIN
	}
	w.next++
	p := &simulated{w: w, pid: w.next, uid: l.UID, kind: l.Spec.Argv[0], alive: true}
	if l.Spec.Token != nil {
		p.token = w.token
	}
	if p.kind == "gateway" {
		w.checkAlone()
		w.checkRelay()
		w.launched++
	}
	w.processes[p.pid], w.all = p, append(w.all, p)
	answer := w.upTo(5 * time.Millisecond)
	if w.sometimes(15) != nil && p.kind != "command" && w.next > 12 {
		w.later(answer, func() { report("", &launch.Failure{Step: launch.StepDied}) })
		w.after(answer+1+w.upTo(time.Millisecond), func() { p.exit(126 << 8) })
		return p, nil, nil
	}
	if p.kind != "worker" {
		w.later(answer, func() { report("", nil) })
	}
	now := time.Now().Add(answer)
	switch p.kind {
	case "gateway":
		p.listensAt = now.Add(w.upTo(3 * time.Second))
		p.readyAt = p.listensAt.Add(w.upTo(2 * time.Second))
		if !w.calm && w.rng.IntN(8) == 0 {
			p.readyAt = now.Add(24 * time.Hour) // it hangs
		}
		p.stubborn = !w.calm && w.rng.IntN(8) == 0
		if w.sometimes(6) != nil {
			w.after(answer+w.upTo(time.Minute), func() { p.exit(unix.WaitStatus(w.rng.IntN(80) << 8)) })
		}
	case "worker":
		w.after(answer+w.upTo(40*time.Millisecond), func() { p.judge(report) })
	case "once":
		w.after(answer+w.upTo(5*time.Second), func() { p.exit(unix.WaitStatus(w.rng.IntN(2) << 8)) })
	}
	if g := w.gateway(); p.kind != "gateway" && p.token > 0 && (g == nil || !g.proven || w.foreign) {
		w.fail("%s %d gets the token, and the gateway is not proven or not alone on its port", p.kind, p.pid)
	}
	switch p.kind {
	case "relay":
		w.checkRelays()
		if !w.calm && w.rng.IntN(2) == 0 {
			w.after(answer+w.upTo(time.Minute), func() { p.exit(1 << 8) })
		}
	case "holder", "plain":
		p.stubborn = !w.calm && w.rng.IntN(4) == 0
	}
	if p.kind == "plain" {
		w.checkGroups()
		w.after(answer, p.fork)
	}
	return p, nil, nil
}

// fork starts a process in p's group, which may outlive p. One that was told to end forks
// no more.
func (p *simulated) fork() {
	w := p.w
	if !p.alive || p.told {
		return
	}
	w.next++
	m := &simulated{w: w, pid: w.next, uid: p.uid, kind: "member", alive: true, leader: p, stubborn: w.rng.IntN(3) == 0}
	w.processes[m.pid], w.all = m, append(w.all, m)
}

// checkGroups checks what must be true when a sidecar starts: the group that the former
// one left behind is gone, or was killed.
func (w *world) checkGroups() {
	for _, p := range w.all {
		if p.leader != nil && p.alive && !p.doomed {
			w.fail("%d of the former group is there when the sidecar starts again", p.pid)
		}
	}
}

// members lists the processes of p's group that are not reaped. The caller has the lock.
func (p *simulated) members() (all []*simulated) {
	for _, m := range p.w.all {
		if (m == p || m.leader == p) && !m.reaped {
			all = append(all, m)
		}
	}
	return all
}

// checkAlone checks what must be true when a gateway starts.
func (w *world) checkAlone() {
	for _, p := range w.all {
		switch {
		case p.kind == "gateway" && !p.reaped:
			w.fail("gateway %d is there when another one starts", p.pid)
		case p.token == w.token && p.alive && p.kind != "gateway" && w.s.c.PickPort == nil: // or clients use a held port
			w.fail("%s %d outlived a gateway whose token the next one has", p.kind, p.pid)
		}
	}
}

// checkStarts checks that the last record has counted each gateway once.
func (w *world) checkStarts() {
	n, s := 0, w.latest.Starts
	for _, p := range w.all {
		if p.kind == "gateway" {
			n++
		}
	}
	counted := s.First + s.Requested + s.Exited + s.Unresponsive + s.Controller + s.Failed
	if counted != n || s.First != min(n, 1) || s.Controller != 0 {
		w.fail("%d gateways were started, and the record has %+v", n, s)
	}
	w.counted = s
}

// judge ends a worker with what it has found.
func (p *simulated) judge(report report) {
	if !p.alive {
		return
	}
	v := proof.Refused
	g := p.w.gateway()
	switch {
	case p.w.foreign:
		v = proof.ForeignPeer
	case !p.w.calm && p.w.rng.IntN(20) == 0:
		v = proof.Unproven
	case g == nil || time.Now().Before(g.listensAt):
	case p.w.sick || time.Now().Before(g.readyAt):
		v = proof.BadBody
	default:
		v, g.proven = proof.OK, true
	}
	seen := proof.Seen{Addr: gatewayAddr, Cookies: []uint64{uint64(p.w.launched)}}
	p.w.later(0, func() {
		if v == proof.OK {
			report(seen.Encode(), nil)
		} else {
			report("", &launch.Failure{Step: launch.StepDied})
		}
	})
	p.exit(unix.WaitStatus(int(v) << 8))
}

// gateway returns the gateway that lives, or nil.
func (w *world) gateway() *simulated {
	for _, p := range w.all {
		if p.kind == "gateway" && p.alive {
			return p
		}
	}
	return nil
}

func (w *world) listeners(uint16) (ls []sockets.Listener, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if g := w.gateway(); g != nil && !time.Now().Before(g.listensAt) {
		ls = append(ls, sockets.Listener{Addr: gatewayAddr, UID: gatewayUID, Inode: 1, Cookie: uint64(w.launched)})
	}
	if w.foreign {
		ls = append(ls, sockets.Listener{Addr: gatewayAddr, UID: agentUID, Inode: 2, Cookie: 1 << 40})
	}
	return ls, nil
}

// exit makes p a zombie and tells the loop.
func (p *simulated) exit(s unix.WaitStatus) {
	if !p.alive {
		return
	}
	p.alive, p.status = false, s
	if p.leader != nil && p.leader.alive {
		p.reaped = true
		return
	}
	for _, m := range p.members() {
		p.w.after(8*time.Second, func() { // its grace is 7 s
			if m.alive && !m.doomed {
				p.w.fail("%s %d has outlived its grace", m.kind, m.pid)
			}
		})
	}
	select {
	case p.w.s.c.Signals.Child <- syscall.SIGCHLD:
	default:
	}
}

func (p *simulated) Pid() int   { return p.pid }
func (p *simulated) PIDFD() int { return -1 }
func (p *simulated) Close()     {}

func (p *simulated) Signal(sig syscall.Signal) error {
	p.w.mu.Lock()
	defer p.w.mu.Unlock()
	p.signal(sig)
	return nil
}

func (p *simulated) signal(sig syscall.Signal) {
	switch {
	case !p.alive:
	case sig == syscall.SIGKILL:
		if p.doomed = true; p.leader != nil && !p.told {
			p.w.fail("member %d is killed, and was not told to end", p.pid)
		}
		p.w.after(p.w.upTo(3*time.Millisecond), func() { p.exit(unix.WaitStatus(syscall.SIGKILL)) })
	case sig != syscall.SIGTERM:
	case p.stubborn:
		p.told = true
	default:
		p.told = true
		p.w.after(p.w.upTo(2*time.Second), func() { p.exit(0) })
	}
}

func (p *simulated) SignalGroup(sig syscall.Signal) error {
	p.w.mu.Lock()
	defer p.w.mu.Unlock()
	if p.reaped {
		p.w.fail("a signal to the group of %d, which was reaped", p.pid)
	}
	for _, m := range p.members() {
		m.signal(sig)
	}
	return nil
}

func (p *simulated) SignalRest(sig syscall.Signal) error {
	p.w.mu.Lock()
	defer p.w.mu.Unlock()
	all := p.members()
	if len(all) == 0 {
		return syscall.ESRCH
	}
	for _, m := range all {
		m.signal(sig)
	}
	return nil
}

// kill kills a process of this kind, from outside.
func (w *world) kill(kind string) {
	for _, p := range w.all {
		if p.kind == kind && p.alive {
			p.exit(unix.WaitStatus(syscall.SIGKILL))
			return
		}
	}
}

func (w *world) peek() (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, p := range w.all {
		if !p.alive && !p.reaped {
			return p.pid, nil
		}
	}
	return 0, nil
}

func (w *world) reap(pid int) (sys.Exit, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	p := w.processes[pid]
	p.reaped = true
	return sys.Exit{PID: pid, Status: p.status}, nil
}

// The sweeper of the simulation.

func (w *world) Track(func(int) bool, func() procfs.ID) {}
func (w *world) Note() error                            { return nil }

func (w *world) Terminate() error {
	w.Signal(gatewayUID, syscall.SIGTERM)
	return nil
}

func (w *world) Sweep() error {
	w.Signal(gatewayUID, syscall.SIGKILL)
	return nil
}

func (w *world) Alive() (bool, error) { return w.Others(gatewayUID) }

func (w *world) Signal(uid uint32, sig syscall.Signal) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, p := range w.all {
		if p.uid == uid {
			p.signal(sig)
		}
	}
}

func (w *world) Others(uid uint32) (bool, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, p := range w.all {
		if p.uid == uid && !p.reaped {
			return true, nil
		}
	}
	return false, nil
}

// logWatch reads the log. An event that cannot happen in a phase is a bug, and so is a
// panic.
type logWatch struct{ w *world }

func (l logWatch) Write(line []byte) (int, error) {
	l.w.mu.Lock()
	defer l.w.mu.Unlock()
	if _, to, ok := bytes.Cut(line, []byte(`"to":"`)); ok {
		name, _, _ := bytes.Cut(to, []byte(`"`))
		l.w.entered[string(name)] = true
	}
	if l.w.heard != nil {
		*l.w.heard += time.Now().String() + string(line)
	}
	if bytes.Contains(line, []byte("event refused")) || bytes.Contains(line, []byte("panic")) {
		l.w.fail("logged %s", line)
	}
	return len(line), nil
}

// upToOne returns the number of processes that a simulated eviction ended.
func (w *world) upToOne() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.rng.IntN(2)
}

// The token of the simulation.

func (w *world) Open() (*os.File, error) { return os.Open(os.DevNull) }
func (w *world) Sum() [32]byte           { return [32]byte{} }
func (w *world) Status() status.Token    { return status.Token{} }
func (w *world) Prepare() error          { return w.maybe(20) }
func (w *world) Commit() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	err := w.sometimes(40)
	if err == nil {
		w.token++
	}
	return err
}
func (w *world) Abort() error { return nil }

// The FIFO and the replies of the simulation.

func (w *world) Requests() <-chan control.Incoming {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.looks++ // each round asks for it once
	return w.frames
}

func (w *world) publish(r status.Record) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.latest = r
	return w.sometimes(50)
}

func (w *world) Check() (problem, err error) { return nil, nil }

func (w *world) Reply(r control.Reply) error {
	if !r.Final() {
		return nil
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.answers[r.Nonce]++; w.answers[r.Nonce] > 1 {
		w.fail("request %s has %d answers", r.Nonce[60:], w.answers[r.Nonce])
	}
	if r.Outcome == control.OK || r.Outcome == control.AlreadyRunning {
		if g := w.processes[r.NewPID]; g == nil || g.kind != "gateway" || !g.proven || !g.alive {
			w.fail("%s, and %d is not a proven gateway that lives", r.Result(), r.NewPID)
		}
	}
	return nil
}
