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
		"TestScenarioP01",       // the sweep among processes that come and go
		"TestScenarioP02",       // who adopts, and whom
		"TestNotAdopted",        // who asks, and whose process holds the port
		"TestNotAdoptedOwn",     // whose child holds the port
		"TestScenarioP03",       // by what a process is known: one may have the supervisor's name
		"TestScenarioP04",       // whom health believes, and a second life's files
		"TestScenarioP05",       // whose a listener is
		"TestScenarioP06",       // by what the sweep signals
		"TestVictimsAreNoticed", // that P06 can fail
	}}))
}
