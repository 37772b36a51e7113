// SPDX-License-Identifier: Apache-2.0

package supervisor

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sys/unix"

	"github.com/gateway-init/gateway-init/internal/proven"
	"github.com/gateway-init/gateway-init/internal/relaylink"
	"github.com/gateway-init/gateway-init/internal/status"
	"github.com/gateway-init/gateway-init/internal/sys"
	"github.com/gateway-init/gateway-init/supervisor/launch"
)

// fakeLink notes what the relay is told.
type fakeLink struct {
	told   []string
	full   bool // the relay does not read
	floods bool // it asks without end
	read   int  // requests that PID 1 has read
	closed chan struct{}
}

func (l *fakeLink) Send(life proven.Life) error {
	return l.note(fmt.Sprintf("life %d at %s with %v", life.Generation, life.Addr, life.Cookies))
}
func (l *fakeLink) SendNone(generation uint64) error {
	return l.note(fmt.Sprintf("none after %d", generation))
}

func (l *fakeLink) note(text string) error {
	if l.full {
		return unix.EAGAIN
	}
	l.told = append(l.told, text)
	return nil
}

func (l *fakeLink) Next() (relaylink.Request, error) {
	const most = 1000 // so that a reader without a pause ends
	select {
	case <-l.closed:
	default:
		if l.floods && l.read < most {
			l.read++
			return relaylink.Request{Generation: uint64(l.read)}, nil
		}
	}
	<-l.closed
	return relaylink.Request{}, os.ErrClosed
}
func (l *fakeLink) Close() error { close(l.closed); return nil }

// relayFixture is a supervisor with a relay that the test plays.
type relayFixture struct {
	*fixture
	link    *fakeLink
	process *signalled
	noLink  error
	noFork  error
	passed  int // descriptors of the last relay
	floods  bool
}

func newRelayFixture(t *testing.T) *relayFixture {
	d := &relayFixture{fixture: newFixture(t)}
	d.c.Relay = &Relay{
		Launch: launch.Child{UID: 9004, Spec: launch.Spec{Argv: []string{"relay"}}, Pass: make([]*os.File, 4)},
		Link: func() (RelayLink, *os.File, error) {
			theirs, err := os.Open(os.DevNull)
			check(t, err)
			d.link = &fakeLink{closed: make(chan struct{}), floods: d.floods}
			return d.link, theirs, d.noLink
		},
	}
	d.base.Publish = &status.Publish{Port: 18789, Address: "127.0.0.1"}
	d.kernel.start = func(l launch.Child, report report) (process, error, error) {
		if d.noFork != nil {
			return nil, nil, d.noFork
		}
		d.passed, d.process = len(l.Pass), &signalled{}
		if l.Pass[0] == nil || d.c.Relay.Launch.Pass[0] != nil {
			t.Error("the channel is not passed to this relay alone")
		}
		return d.process, nil, nil
	}
	d.relay = newRelay(d.common)
	return d
}

// died handles the end of the relay.
func (d *relayFixture) died() {
	c := d.relay.child
	c.exit, c.reported = &sys.Exit{}, true
	c.end()
	d.relay.gone()
}

func (d *relayFixture) checkTold(t *testing.T, want ...string) {
	t.Helper()
	if !slices.Equal(d.link.told, want) {
		t.Errorf("told %q, want %q", d.link.told, want)
	}
}

func life(generation uint64, cookies ...uint64) proven.Life {
	return proven.Life{Generation: generation, Addr: netip.MustParseAddrPort("127.0.0.1:4000"), UID: 9001, Cookies: cookies, PIDFD: 9}
}

// Scenario C07. TestRelayIsToldEachLife checks that the relay knows the life that is
// proven, and no other.
func TestRelayIsToldEachLife(t *testing.T) {
	d := newRelayFixture(t)
	d.relay.serve(life(1, 7)) // before the relay runs
	d.relay.start()
	d.relay.serve(life(1, 7)) // nothing new
	d.relay.serve(life(1, 7, 8))
	d.relay.end(1)
	d.relay.end(1)
	d.relay.serve(life(1, 7)) // a proof that ended late
	d.relay.serve(proven.Life{})
	d.relay.serve(life(2, 9))
	d.checkTold(t, "life 1 at 127.0.0.1:4000 with [7]", "life 1 at 127.0.0.1:4000 with [7 8]", "none after 1", "life 2 at 127.0.0.1:4000 with [9]")
	if d.passed != 4 {
		t.Errorf("%d descriptors", d.passed)
	}
	if d.fill(); d.rec.Publish.Relay.State != "running" || d.rec.Publish.Relay.PID != 77 || !d.rec.Publish.Proven {
		t.Errorf("the record has %+v", d.rec.Publish)
	}
	d.relay.end(2)
	if d.fill(); d.rec.Publish.Proven {
		t.Error("the record says proven after the end")
	}
}

// Scenario C07. TestRelayStartsAgain checks that a relay that ends is replaced soon, that
// one that ends again and again is replaced at most once a second, and that each is told
// what is proven.
func TestRelayStartsAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newRelayFixture(t)
		d.relay.start()
		d.relay.serve(life(1, 7))
		var delays []time.Duration
		for range 9 {
			first := d.link
			d.died()
			<-first.closed
			delays = append(delays, time.Until(*d.timers.armedFor(relayTimer)))
			d.relay.start()
			d.checkTold(t, "life 1 at 127.0.0.1:4000 with [7]")
		}
		if delays[0] != 10*time.Millisecond || delays[8] != time.Second || !slices.IsSorted(delays) {
			t.Errorf("delays %v", delays)
		}
		time.Sleep(2 * time.Second)
		d.died()
		if delay := time.Until(*d.timers.armedFor(relayTimer)); delay != 10*time.Millisecond {
			t.Errorf("after a long life: %v", delay)
		}
		if d.fill(); d.rec.Publish.Relay.Restarts != 10 || d.rec.Publish.Relay.State != "stopped" {
			t.Errorf("the record has %+v", d.rec.Publish.Relay)
		}
	})
}

// Scenario C07. TestRelayThatDoesNotReadIsReplaced checks that a relay with an old life is
// killed. It would pass bytes to a port that the gateway has left.
func TestRelayThatDoesNotReadIsReplaced(t *testing.T) {
	d := newRelayFixture(t)
	d.relay.start()
	d.relay.serve(life(1, 7))
	d.link.full = true
	d.relay.end(1)
	if !slices.Equal(d.process.got, []syscall.Signal{syscall.SIGKILL}) {
		t.Errorf("it got %v", d.process.got)
	}
	d.died()
	d.relay.start()
	d.checkTold(t, "none after 1")
}

// Scenario C07. TestRelayCannotStart checks that a failure is logged once, shown, and tried
// again.
func TestRelayCannotStart(t *testing.T) {
	for name, fail := range map[string]func(*relayFixture){
		"no-channel": func(d *relayFixture) { d.noLink = errors.New("no descriptors") },
		"no-fork":    func(d *relayFixture) { d.noFork = syscall.EAGAIN },
	} {
		t.Run(name, func(t *testing.T) {
			d := newRelayFixture(t)
			fail(d)
			d.relay.start()
			d.relay.start()
			if d.relay.child != nil || d.timers.armedFor(relayTimer) == nil || strings.Count(d.log.String(), "relay-failed") != 1 {
				t.Errorf("logged %s", d.log.String())
			}
			if d.fill(); d.rec.Publish.Relay.State != "failed" || d.rec.Publish.Relay.Detail == "" {
				t.Errorf("the record has %+v", d.rec.Publish.Relay)
			}
			d.noLink, d.noFork = nil, nil
			if d.relay.start(); d.relay.child == nil || d.relay.rec.State != "running" {
				t.Errorf("it is %+v", d.relay.rec)
			}
		})
	}
}

// Scenario C07. TestRelayAsksForAProof checks that only the relay's word about the current
// life counts, and at most once a second. A relay that asks without end must not keep PID 1
// busy.
func TestRelayAsksForAProof(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newRelayFixture(t)
		d.relay.serve(life(2, 7))
		now := time.Now()
		for i, c := range []struct {
			generation uint64
			after      time.Duration
			want       bool
		}{{1, 0, false}, {3, 0, false}, {2, 0, true}, {2, 999 * time.Millisecond, false}, {2, time.Second, true}, {2, time.Second, false}} {
			if got := d.relay.wantsProof(c.generation, now.Add(c.after)); got != c.want {
				t.Errorf("request %d: %t", i, got)
			}
		}
	})
}

// Scenario C07. TestRelayThatAsksWithoutEndIsReadSlowly checks that such a relay costs PID 1
// one read a second, also with requests that are about no life.
func TestRelayThatAsksWithoutEndIsReadSlowly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newRelayFixture(t)
		d.floods = true
		d.relay.start()
		time.Sleep(10 * time.Second)
		synctest.Wait()
		if d.link.read < 10 || d.link.read > 11 {
			t.Errorf("%d requests were read in 10 s", d.link.read)
		}
		d.died()
		time.Sleep(askPause) // the reader ends
	})
}

// Scenario C07. TestRelayEndsForGood checks that a relay that is stopped is not started
// again.
func TestRelayEndsForGood(t *testing.T) {
	d := newRelayFixture(t)
	d.relay.start()
	if d.relay.stop() || !slices.Equal(d.process.got, []syscall.Signal{syscall.SIGKILL}) {
		t.Errorf("it got %v", d.process.got)
	}
	d.died()
	d.relay.start()
	if !d.relay.stop() || d.relay.child != nil || d.timers.armedFor(relayTimer) != nil {
		t.Error("it was started again")
	}
	plain := newFixture(t)
	plain.relay.start()
	if plain.relay.serve(life(1)); plain.relay.child != nil || !plain.relay.stop() {
		t.Error("a container without a published port has a relay")
	}
}
