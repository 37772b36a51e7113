// SPDX-License-Identifier: Apache-2.0

package proof

import (
	"os"
	"testing"

	"github.com/gateway-init/gateway-init/tests/harness"
)

// All of them: what is proven, of which process and to whom, is what a topology
// changes.
func TestMain(m *testing.M) {
	os.Exit(harness.Main(m, harness.MainOptions{Topologies: []string{
		"TestControlWorksAmongShortLivedProcesses", // the sweep among processes that come and go
		"TestUnmanagedGatewayIsReportedAndAdopted", // who adopts, and whom
		"TestNotAdopted",                       // who asks, and whose process holds the port
		"TestNotAdoptedOwn",                    // whose child holds the port
		"TestRewrittenTitleKeepsIdentity",      // by what a process is known: one may have the supervisor's name
		"TestHealthIsRightAfterRestarts",       // whom health believes, and a second life's files
		"TestForeignListenerNeverGetsTheToken", // whose a listener is
		"TestRecycledPidIsNeverSignaled",       // by what the sweep signals
		"TestSignaledBystanderIsNoticed",       // that P06 can fail
	}}))
}
