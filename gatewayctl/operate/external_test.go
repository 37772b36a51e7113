// SPDX-License-Identifier: Apache-2.0

package operate

import (
	"fmt"
	"strings"
	"testing"

	"github.com/gateway-init/gateway-init/gatewayctl/external"
	"github.com/gateway-init/gateway-init/internal/reason"
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
		"no-token":      {&TokenError{tokenNotRunning, "", control.ErrNoSupervisor}, ExitFailed, "XDG_RUNTIME_DIR"},
	} {
		err := fmt.Errorf("cannot stop: %w", &external.Failure{Stage: "x", Reason: reason.Unproven, Err: userError{c.err}})
		if code, hint := Explain(err); code != c.code || !strings.Contains(hint, c.hint) {
			t.Errorf("%s: %d, %q", name, code, hint)
		}
	}
}
