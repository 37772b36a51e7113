// SPDX-License-Identifier: Apache-2.0

package supervisor

import (
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/gateway-init/gateway-init/internal/status"
)

// A panic in PID 1 was the end of the container, and of all that ran in it.
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
	// The next round does its work: a reaped child is asked for, the record written.
	published := 0
	d.c.Publish = func(status.Record) error { published++; return nil }
	d.dirty = true
	d.c.Signals.Child <- os.Interrupt
	if d.round() || published != 1 {
		t.Errorf("the next round published %d records", published)
	}
}
