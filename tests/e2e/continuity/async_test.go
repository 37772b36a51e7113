// SPDX-License-Identifier: Apache-2.0

// Package continuity tests that neither sidecars, restarts of the container,
// requesters nor the agent keep the gateway down, and that all processes end with
// the container. It has scenarios L12 to L23 of tests/scenarios.md.
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
		// The sweep ends other processes.
		"TestBrokenSidecarNeverBlocksRestart", "TestSidecarsOverACrash", "TestWatcherSeesTwoGateways",
		// Other processes end with the container, and another process signals them.
		"TestDockerStopEndsEveryProcess", "TestStopSignalReachesExecProcesses", "TestDockerStopWorksInEveryState", "TestEventsAroundCommandKeepItsCode",
		"TestOwnFailuresHaveOwnExitCodes", // boot refuses other things without root
		// The session and the terminal belong to a foreign PID 1.
		"TestInterruptNeverReachesTheGateway", "TestTerminalUIKeepsItsScreen",
		"TestRecoverReplacesOnlyWhatIsDown", // the owner of a listener
		// The supervisor is not PID 1, and may not run yet.
		"TestRequestsWaitForStartingSupervisor", "TestRequestWaitsAtSecondStart",
		"TestHalfLineNeverSwallowsNextRequest", // the owner of the FIFO
		// The owner of the runtime directory, and of the files of an earlier run.
		"TestContainerBootsOverEarlierState", "TestForeignRuntimeFilesAreRefused",
		"TestOperatorsToken", // the token goes to another user, or to the same
		// A launch sets less, and a prepared directory has another owner.
		"TestRelaunchKeepsEnvironmentAndLimits", "TestSquattedDirectoryIsNamed",
	}}))
}

// boot is how long a container may take to serve on a busy machine.
const boot = 2 * time.Minute

// async runs gatewayctl in the background. The channel gets its result.
func async(c *harness.Container, args ...string) <-chan harness.Result {
	done := make(chan harness.Result, 1)
	go func() {
		defer close(done)
		done <- c.Ctl(args...)
	}()
	return done
}

// wait returns the result of async. It fails the test after the deadline.
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

// checkRestarted fails the test unless the result is a proven restart or start.
func checkRestarted(t *testing.T, r harness.Result) {
	t.Helper()
	if r.Code != 0 || !strings.Contains(r.Stdout, ", proven") {
		t.Fatalf("restart: %v", r)
	}
}

// samePID1 returns an error if PID 1 is no longer pid, because the container has
// ended or was restarted.
func samePID1(c *harness.Container, pid int) error {
	if !c.Running() {
		return fmt.Errorf("the container has ended:\n%s", c.Logs())
	}
	if now := c.HostPID(); now != pid {
		return fmt.Errorf("PID 1 was %d on the host and is %d", pid, now)
	}
	return nil
}
