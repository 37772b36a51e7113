// SPDX-License-Identifier: Apache-2.0

package managed

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/gateway-init/gateway-init/tests/harness"
)

// orphans is the number of processes in each container of the benchmark. They are
// children of the supervisor that it has not started.
const orphans = 5000

// BenchmarkRestart measures a restart with its docker exec: by PID 1 as root, and below
// a foreign PID 1 by the supervisor's user and by root as the controller. The goal is
// at most twice the direct one. CONTRIBUTING.md says how to run it.
func BenchmarkRestart(b *testing.B) {
	start := func(topology string) *harness.Container {
		b.Setenv(harness.TopologyVariable, topology)
		box := harness.Start(b, harness.Options{Extra: []string{"--pids-limit", "20000"},
			Command: []string{"demotools", "orphan-then", "linger", fmt.Sprint(orphans), "3600", "--", "sleep", "3600"}})
		box.WaitServing(serveBy)
		harness.Eventually(b, time.Minute, "the orphans", func() error {
			if n := len(box.Processes()); n < orphans {
				return fmt.Errorf("%d", n)
			}
			return nil
		})
		return box
	}
	direct, below := start(""), start("managed")
	rows := []struct {
		name string
		run  func() harness.Result
	}{
		{"nothing", func() harness.Result { return direct.Exec("0:0", "demotools", "sleep", "0") }},
		{"direct", func() harness.Result { return direct.Exec("0:0", "gatewayctl", "restart") }},
		{"managed-user", func() harness.Result { return below.Ctl("restart") }},
		{"controller", func() harness.Result { return below.Exec("0:0", "gatewayctl", "restart") }},
	}
	took := map[string][]time.Duration{}
	for b.Loop() {
		for _, row := range rows {
			began := time.Now()
			if r := row.run(); r.Code != 0 {
				b.Fatalf("%s: %v", row.name, r)
			}
			took[row.name] = append(took[row.name], time.Since(began))
		}
	}
	for _, row := range rows {
		slices.Sort(took[row.name])
		b.ReportMetric(float64(took[row.name][len(took[row.name])/2].Microseconds())/1000, row.name+"-ms")
	}
}
