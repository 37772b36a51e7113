// SPDX-License-Identifier: Apache-2.0

package supervisor

import (
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/gateway-init/gateway-init/internal/status"
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
