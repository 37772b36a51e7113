// SPDX-License-Identifier: Apache-2.0

package operate

import (
	"context"
	"fmt"
	"os"
	"testing"

	"github.com/gateway-init/gateway-init/gatewayctl/external"
	"github.com/gateway-init/gateway-init/internal/procfs"
	"github.com/gateway-init/gateway-init/internal/testenv"
	"github.com/gateway-init/gateway-init/supervisor/control"
)

// newLocal returns a Local of a root supervisor that has left nothing in its directory.
func newLocal(t *testing.T) (l *Local, dir string) {
	dir = t.TempDir()
	return &Local{Host: Host{EUID: os.Geteuid(), Owner: uint32(os.Geteuid()), Defaults: func() []string { return []string{dir} }}}, dir
}

// TestIsExternal checks that a directory of the agent hides no managed supervisor
// from root, and that root is no controller of a root supervisor.
func TestIsExternal(t *testing.T) {
	testenv.Root(t)
	l, dir := newLocal(t)
	l.Find = func(context.Context) (*external.Supervisor, error) { return nil, external.ErrAmbiguous }
	testenv.Must(t, os.Mkdir(dir+"/"+control.Dir, 0o700))
	if l.isExternal() {
		t.Error("beside a supervisor that runs as root")
	}
	testenv.Must(t, os.Chown(dir, testenv.Stranger, testenv.Stranger))
	if !l.isExternal() {
		t.Error("the agent's directory counts")
	}
	l.Find = func(context.Context) (*external.Supervisor, error) { return nil, external.ErrNone }
	if l.isExternal() {
		t.Error("there is nothing to control")
	}
}

// TestExternalWhilePID1Starts is for an old bug. The engine's "run" returns while
// PID 1 is still the runtime's. PID 1 became gateway-init while a restart looked at
// it, and root was told that a supervisor without root could not be proved.
func TestExternalWhilePID1Starts(t *testing.T) {
	testenv.Root(t)
	l, dir := newLocal(t)
	l.Patience = testenv.Patience
	testenv.Must(t, os.Remove(dir))
	for later, want := range map[error]bool{external.ErrUnproven: false, external.ErrNone: false, nil: true} {
		looks := 0
		l.Find = func(context.Context) (*external.Supervisor, error) {
			if looks++; looks < 3 {
				return nil, fmt.Errorf("cannot look at PID 1: %w", procfs.ErrChanged)
			}
			if later == nil {
				return nil, external.ErrAmbiguous
			}
			return nil, later
		}
		if got := l.isExternal(); got != want || looks != 3 {
			t.Errorf("%v after %d looks, then %v: want %v", got, looks, later, want)
		}
	}
	l.Patience, l.Find = 0, func(context.Context) (*external.Supervisor, error) { return nil, procfs.ErrChanged }
	if !l.isExternal() {
		t.Error("a PID 1 that changes all the time is taken for none")
	}
}
