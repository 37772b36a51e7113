// SPDX-License-Identifier: Apache-2.0

package supervisor

import (
	"errors"
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/gateway-init/gateway-init/internal/status"
	"github.com/gateway-init/gateway-init/supervisor/control"
)

// TestPanicIsSurvived checks that a panic in PID 1 does not end the container.
func TestPanicIsSurvived(t *testing.T) {
	d := newFixture(t).serving()
	d.c.Signals = Signals{Child: make(chan os.Signal, 1), Stop: make(chan os.Signal, 1), Shared: make(chan os.Signal, 1)}
	d.c.Publish = func(status.Record) error { panic(errors.New("a bug")) }
	if d.round() {
		t.Fatal("it is over after a panic")
	}
	if log := d.log.String(); !strings.Contains(log, `"event":"internal"`) || !strings.Contains(log, "panic: a bug") {
		t.Errorf("log: %s", log)
	}
	// The next round does its work, and writes the record.
	published := 0
	d.c.Publish = func(status.Record) error { published++; return nil }
	d.unit.crashes++
	d.c.Signals.Child <- os.Interrupt
	if d.round() || published != 1 {
		t.Errorf("the next round published %d records", published)
	}
}

// TestPanicInTheRecordStillTakesInput checks that PID 1 still handles signals if it
// cannot make its record.
func TestPanicInTheRecordStillTakesInput(t *testing.T) {
	d := newFixture(t).serving()
	d.c.Signals = Signals{Child: make(chan os.Signal, 1), Stop: make(chan os.Signal, 1)}
	d.c.Token = nil // its status cannot be read
	d.c.Signals.Stop <- syscall.SIGTERM
	for range 3 {
		d.round()
		if d.shutdown.begun {
			return
		}
	}
	t.Error("SIGTERM was not handled")
}

// panicServer panics at the first reply.
type panicServer struct {
	Server
	replies int
}

func (p *panicServer) Reply(control.Reply) error {
	if p.replies++; p.replies == 1 {
		panic("a bug")
	}
	return nil
}

// TestPanicLosesOneReply checks that a panic while a reply is written does not lose the
// other replies.
func TestPanicLosesOneReply(t *testing.T) {
	d := newFixture(t).serving()
	server := &panicServer{Server: d.c.Server}
	d.c.Server = server
	d.requests.replies = []control.Reply{{Nonce: nonce(1)}, {Nonce: nonce(2)}}
	func() {
		defer func() { recover() }()
		d.deliver()
	}()
	if d.deliver(); server.replies != 2 {
		t.Errorf("%d replies were written or tried", server.replies)
	}
}

// TestRestartLostInAPanicIsAnswered checks that a request whose beginning panicked is
// answered when the container ends.
func TestRestartLostInAPanicIsAnswered(t *testing.T) {
	d := newFixture(t).serving().running()
	d.c.Validate = func() error { panic("a bug") }
	d.request(1, "restart")
	func() {
		defer func() { recover() }()
		d.step()
	}()
	d.shutdown.begun = true
	d.step()
	d.replies("failed shutting-down 77 0")
}

// TestRefusedProbeNamesNoNewPid checks the pids of a probe that finds no gateway to prove.
func TestRefusedProbeNamesNoNewPid(t *testing.T) {
	d := newFixture(t).serving().running()
	d.unit.phase = phaseRestarting
	d.request(1, "probe")
	d.step()
	d.replies("failed not-running 77 0")
}
