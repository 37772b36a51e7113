// SPDX-License-Identifier: Apache-2.0

package supervisor

import (
	"errors"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gateway-init/gateway-init/internal/procfs"
	"github.com/gateway-init/gateway-init/internal/sockets"
	"github.com/gateway-init/gateway-init/supervisor/launch"
	"github.com/gateway-init/gateway-init/supervisor/proof"
)

// portTest is a fixture whose port is taken until FreePort has been called.
type portTest struct {
	*fixture
	taken bool
	stays bool   // FreePort does not free it
	hides bool   // the process that has it cannot be found
	every []bool // what each call of FreePort was allowed
}

func newPortTest(t *testing.T) *portTest {
	t.Helper()
	p := &portTest{fixture: newFixture(t), taken: true}
	p.c.Gateway.UID = 9001
	theirs := sockets.Listener{Addr: netip.MustParseAddrPort("[::1]:18789"), UID: 9002, Inode: 2}
	p.kernel.listeners = func(uint16) (ls []sockets.Listener, err error) {
		if p.unit.phase == phaseRunning {
			ls = append(ls, sockets.Listener{Addr: netip.MustParseAddrPort("127.0.0.1:18789"), UID: 9001, Inode: 1})
		}
		if p.taken {
			ls = append(ls, theirs)
		}
		return ls, nil
	}
	p.kernel.verify = func(procfs.ID) error { return nil }
	p.kernel.start = func(launch.Child, report) (process, error, error) {
		return nil, nil, errors.New("no start in this test")
	}
	p.c.FreePort = func(_ uint16, spare func(int) bool, all bool) ([]int, bool, error) {
		p.every = append(p.every, all)
		if p.hides && !all {
			return nil, false, nil
		}
		p.taken = p.stays
		return []int{41, 42}, p.hides, nil
	}
	return p
}

// launches makes one launch, and reports whether it is tried again at once.
func (p *portTest) launches() bool {
	p.unit.phase, p.unit.events = phaseStarting, nil
	p.timers.cancel(sweepTimer)
	p.unit.launch()
	return p.timers.armed(sweepTimer) && len(p.unit.events) == 0
}

// TestTakenPortIsFreed checks that the processes that keep a gateway from starting are ended,
// and that the launch is tried again at once, but not without end.
func TestTakenPortIsFreed(t *testing.T) {
	p := newPortTest(t)
	p.stays = true
	if !p.launches() {
		t.Error("the launch is not tried again")
	}
	if p.launches() || !slices.Equal(p.unit.events, []event{eventFailed}) {
		t.Errorf("the launch is tried again, and processes are ended, at once: %v", p.unit.events)
	}
	p.unit.start.freeFrom = time.Time{}
	if !p.launches() {
		t.Error("no further process is ended a second later")
	}
	if want := `"event":"evicted","processes":2,"port":0,"pids":[41,42],"message":"processes of the sandbox's user had the gateway's port, and were ended"`; strings.Count(p.log.String(), want) != 2 {
		t.Errorf("the log is %s", p.log.String())
	}
}

// TestHiddenHolderOfThePort checks that all processes of the agent end for a holder that
// cannot be found, and that this is not repeated at each try.
func TestHiddenHolderOfThePort(t *testing.T) {
	p := newPortTest(t)
	p.hides, p.stays = true, true
	for i, again := range []bool{true, false, false} {
		p.unit.start.freeFrom = time.Time{}
		if p.launches() != again {
			t.Errorf("try %d: is it tried again? %v", i, !again)
		}
	}
	if !slices.Equal(p.every, []bool{true, false, false}) {
		t.Errorf("allowed were %v", p.every)
	}
	p.unit.start.freeFrom, p.unit.start.everyFrom = time.Time{}, time.Now()
	if !p.launches() {
		t.Error("not even later")
	}
}

// TestPortIsNotFreedByDefault checks that without the key nothing is ended for the port.
func TestPortIsNotFreedByDefault(t *testing.T) {
	p := newPortTest(t)
	p.c.FreePort = nil
	if p.launches() || !slices.Equal(p.unit.events, []event{eventFailed}) {
		t.Errorf("events %v", p.unit.events)
	}
	p.running()
	if beside, err := p.freeBeside(); beside == "" || err != nil {
		t.Error("the listener beside the gateway is gone")
	}
}

// TestFailureToFreeThePort checks that an error is in the log, and that nothing is tried
// again for it.
func TestFailureToFreeThePort(t *testing.T) {
	p := newPortTest(t)
	p.c.FreePort = func(uint16, func(int) bool, bool) ([]int, bool, error) { return nil, false, errors.New("no right") }
	if p.launches() || !strings.Contains(p.log.String(), `"error":"no right"`) {
		t.Errorf("the log is %s", p.log.String())
	}
}

// TestRestartFreesThePort checks that a listener beside the gateway does not keep a restart
// from happening, and that the restart is refused if it stays.
func TestRestartFreesThePort(t *testing.T) {
	for name, stays := range map[string]bool{"goes": false, "stays": true} {
		t.Run(name, func(t *testing.T) {
			p := newPortTest(t)
			p.stays = stays
			p.running()
			if beside, err := p.foreignBeside(); beside == "" || err != nil {
				t.Fatalf("no listener beside the gateway, %v", err)
			}
			if beside, err := p.freeBeside(); (beside != "") != stays || err != nil {
				t.Errorf("beside the gateway is %q, %v", beside, err)
			}
			if p.unit.token.exposed == "" {
				t.Error("the agent had the port, and the token stays")
			}
		})
	}
}

// TestStartThatMeetsAListener checks that a listener that came after the launch is ended.
func TestStartThatMeetsAListener(t *testing.T) {
	p := newPortTest(t)
	p.running()
	p.unit.phase = phaseStarting
	r := result{}
	r.judge(proof.ForeignPeer, p.g.Ready)
	ls, err := p.kernel.listeners(0)
	check(t, err)
	r.signals.Foreign = listeners(ls)
	if p.finds(startProof, r); len(p.every) != 1 {
		t.Errorf("FreePort was called %d times", len(p.every))
	}
}
