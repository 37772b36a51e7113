// SPDX-License-Identifier: Apache-2.0

package privilege

import (
	"slices"
	"testing"
	"time"

	"github.com/gateway-init/gateway-init/internal/status"
	"github.com/gateway-init/gateway-init/tests/harness"
)

// Scenario G01, without CAP_KILL. A gateway that could not be signaled blocked
// restart, recover and stop for ever, because all waited for an end that no process
// could cause.
func TestRestartWorksWithoutCapKill(t *testing.T) {
	flags := harness.ReadmeFlags()
	i := slices.Index(flags, "KILL")
	flags = slices.Delete(flags, i-1, i+1)
	box := harness.Start(t, harness.Options{Flags: flags, Published: true, Config: map[string]any{
		"gateway": map[string]any{"stop": map[string]any{"grace": "1s"}}}})
	before := box.WaitServing(30 * time.Second)
	if names := status.Missing(before.Hardening); len(names) != 1 || names[0].Name != "cap-KILL" {
		t.Errorf("hardening is %v, want cap-KILL alone", names)
	}
	box.MustCtl("restart", "--timeout", "20s")
	box.WaitNewGateway(before.Gateway.Process, 10*time.Second)
	box.MustCtl("stop", "--timeout", "20s")
	box.MustCtl("start", "--timeout", "20s")
}
