// SPDX-License-Identifier: Apache-2.0

package operate

import (
	"context"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/gateway-init/gateway-init/gatewayctl/external"
	"github.com/gateway-init/gateway-init/internal/procfs"
	"github.com/gateway-init/gateway-init/internal/reason"
	"github.com/gateway-init/gateway-init/internal/sys"
	"github.com/gateway-init/gateway-init/supervisor/control"
)

// TestExplainUserError checks that a failure of the supervisor's user has that user's exit
// code. But that user cannot say that there is no supervisor.
func TestExplainUserError(t *testing.T) {
	for name, c := range map[string]struct {
		err  error
		code int
		hint string
	}{
		"failed":        {&external.Failure{Reason: reason.ListenerMissing}, ExitNotServing, ""},
		"refused":       {&external.Failure{Reason: reason.NotPermitted}, ExitRefused, ""},
		"deadline":      {control.ErrDeadline, ExitDeadline, hintStatus},
		"no-supervisor": {&control.UnsentError{Err: control.ErrNoSupervisor}, ExitFailed, "XDG_RUNTIME_DIR"},
		"no-rights":     {fmt.Errorf("cannot become uid 7: %w: %w", os.ErrPermission, sys.ErrNoIDs), ExitRefused, "docker exec -u UID:GID CONTAINER"},
		"no-token":      {&TokenError{tokenNotRunning, "", control.ErrNoSupervisor}, ExitFailed, "XDG_RUNTIME_DIR"},
	} {
		err := fmt.Errorf("cannot stop: %w", &external.Failure{Stage: "x", Reason: reason.Unproven, Err: userError{c.err}})
		if code, hint := Explain(err); code != c.code || !strings.Contains(hint, c.hint) {
			t.Errorf("%s: %d, %q", name, code, hint)
		}
	}
}

// TestLookWithoutRights checks that root without the rights of a controller is told to run
// the command as the supervisor's user. Waiting would not help.
func TestLookWithoutRights(t *testing.T) {
	v := verdictOf(fmt.Errorf("cannot look at process 9: cannot become uid 7: %w: %w", os.ErrPermission, sys.ErrNoIDs))
	e := External{local: &Local{}}
	e.local.Find = func(context.Context) (*external.Supervisor, error) {
		held, err := procfs.Hold(os.Getpid())
		if err == nil {
			held.UIDs[0], held.GIDs[0] = 1234, 5678
		}
		return &external.Supervisor{Held: held}, err
	}
	const want = "run it as the supervisor's user: docker exec -u 1234:5678 CONTAINER "
	if hint := e.Advise(v.Hint); v.Reason != reason.Unproven || !strings.HasPrefix(hint, want) || !strings.Contains(hint, "SETUID") {
		t.Errorf("%s, %q", v.Reason, hint)
	}
}

// TestEvictWithoutSeparation checks that root does not end processes of a user who is the
// gateway's, too.
func TestEvictWithoutSeparation(t *testing.T) {
	_, err := External{local: &Local{}}.Evict(context.Background(), true)
	if code, hint := Explain(err); code != ExitRefused || !strings.Contains(hint, "gatewayctl adopt") {
		t.Errorf("%v: %d, %q", err, code, hint)
	}
}
