// SPDX-License-Identifier: Apache-2.0

// Package continuity tests that the gateway outlives what happens around it:
// other children, restarts of the container, requesters, the agent, and the
// end. Scenarios L12 to L23 of tests/scenarios.md.
package continuity

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/gateway-init/gateway-init/tests/harness"
)

func TestMain(m *testing.M) {
	os.Exit(harness.Main(m, harness.MainOptions{SideBySide: 4, Topologies: []string{
		// Which processes the sweep ends, and which it leaves.
		"TestBrokenSidecarNeverBlocksRestart", "TestSidecarsOverACrash", "TestWatcherSeesTwoGateways",
		// Who ends with the container, and by which signal of whom.
		"TestDockerStopEndsEveryProcess", "TestStopSignalReachesExecProcesses", "TestDockerStopWorksInEveryState", "TestEventsAroundCommandKeepItsCode",
		"TestOwnFailuresHaveOwnExitCodes", // what boot refuses without root
		// The session and the terminal are a foreign PID 1's.
		"TestInterruptNeverReachesTheGateway",
		"TestRecoverReplacesOnlyWhatIsDown", // whose a listener is
		// A supervisor that is not there yet, and is not PID 1.
		"TestRequestsWaitForStartingSupervisor", "TestRequestWaitsAtSecondStart",
		"TestHalfLineNeverSwallowsNextRequest", // whose the FIFO is
		// Whose the runtime directory is, and what another life left in it.
		"TestContainerBootsOverEarlierState", "TestForeignRuntimeFilesAreRefused",
		"TestOperatorsToken", // a token that crosses users, or not
		// What a launch sets, and whose a prepared directory may be.
		"TestRelaunchKeepsEnvironmentAndLimits", "TestSquattedDirectoryIsNamed",
	}}))
}

// boot is how long a container may take to serve on a busy machine.
const boot = 2 * time.Minute

// async runs gatewayctl meanwhile; the channel gets its end.
func async(c *harness.Container, args ...string) <-chan harness.Result {
	done := make(chan harness.Result, 1)
	go func() {
		defer close(done)
		done <- c.Ctl(args...)
	}()
	return done
}

// wait is the end of async, within the deadline.
func wait(t *testing.T, done <-chan harness.Result, deadline time.Duration) harness.Result {
	t.Helper()
	select {
	case r, ok := <-done:
		if !ok {
			t.Fatal("gatewayctl could not be run")
		}
		return r
	case <-time.After(deadline):
		t.Fatalf("gatewayctl has no answer after %v", deadline)
		return harness.Result{}
	}
}

// restarted fails the test unless the result is a proven restart or start.
func restarted(t *testing.T, r harness.Result) {
	t.Helper()
	if r.Code != 0 || !strings.Contains(r.Stdout, ", proven") {
		t.Fatalf("restart: %v", r)
	}
}

// samePID1 fails the test if the container has another PID 1 than pid: it was
// restarted.
func samePID1(c *harness.Container, pid int) error {
	if !c.Running() {
		return fmt.Errorf("the container has ended:\n%s", c.Logs())
	}
	if now := c.HostPID(); now != pid {
		return fmt.Errorf("PID 1 was %d on the host and is %d", pid, now)
	}
	return nil
}
