// SPDX-License-Identifier: Apache-2.0

package proof

import (
	"os"
	"testing"

	"github.com/gateway-init/gateway-init/tests/harness"
)

// A topology changes every proof here, so each test runs in each topology.
func TestMain(m *testing.M) {
	os.Exit(harness.Main(m, harness.MainOptions{Topologies: []string{
		"TestControlWorksAmongShortLivedProcesses", // the sweep runs among processes that come and go
		"TestUnmanagedGatewayIsReportedAndAdopted", // which user adopts, and from which user
		"TestNotAdopted",                       // which user asks, and which user's process holds the port
		"TestNotAdoptedOwn",                    // which child holds the port
		"TestRewrittenTitleKeepsIdentity",      // how a process is identified, which may have the supervisor's name
		"TestHealthIsRightAfterRestarts",       // which uid health trusts, and the files of a second start
		"TestForeignListenerNeverGetsTheToken", // which user a listener belongs to
		"TestRecycledPidIsNeverSignaled",       // how the sweep signals
		"TestSignaledBystanderIsNoticed",       // P06 can fail
	}}))
}
