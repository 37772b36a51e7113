// SPDX-License-Identifier: Apache-2.0

package managed

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/gateway-init/gateway-init/tests/harness"
)

// root's commands work among short-lived processes, zombies, forged names and reused
// pids, and find the same gateway as the supervisor.
func TestControllerInACrowd(t *testing.T) {
	t.Parallel()
	box := harness.Start(t, harness.Options{Command: idle, Extra: []string{"--security-opt", "systempaths=unconfined"}})
	box.WaitServing(serveBy)
	hosts, err := os.ReadFile("/proc/sys/kernel/pid_max") // the namespace's own since Linux 6.14
	if err != nil {
		t.Fatal(err)
	}
	if r := box.ExecInput("0:0", []byte("700"), "demotools", "write", "/proc/sys/kernel/pid_max"); r.Code != 0 {
		t.Fatalf("cannot lower pid_max: %v", r)
	}
	if now, err := os.ReadFile("/proc/sys/kernel/pid_max"); err != nil || string(now) != string(hosts) {
		t.Fatalf("pid_max of the host was %s and is %s (%v)", hosts, now, err)
	}
	box.ExecDetached("sandbox", "demotools", "unreaped", "200", "600")
	box.ExecDetached("sandbox", "demotools", "churn", "100", "600")
	for _, comm := range []string{") S 1 1 (", "a\nb", "gateway-init"} {
		box.ExecDetached("sandbox", "demotools", "decoy", comm, "demogateway")
	}
	harness.Eventually(t, serveBy, "200 zombies", func() error {
		zombies := 0
		for _, p := range box.Processes() {
			if strings.HasPrefix(p.State, "Z") {
				zombies++
			}
		}
		if zombies < 200 {
			return fmt.Errorf("%d", zombies)
		}
		return nil
	})
	for range harness.Rounds(t, 10, 30) {
		old := box.WaitServing(serveBy)
		r := root(box, "restart")
		if r.Code != 0 || !strings.HasPrefix(r.Stdout, fmt.Sprintf("restarted: pid %d → ", old.Gateway.PID)) {
			t.Fatalf("%v", r)
		}
		now := box.WaitNewGateway(old.Gateway.Process, serveBy)
		if want := fmt.Sprintf("→ %d, proven\n", now.Gateway.PID); !strings.HasSuffix(r.Stdout, want) || now.Crashes != 0 {
			t.Errorf("%v; the supervisor has %+v, %d crashes", r, now.Gateway.Process, now.Crashes)
		}
	}
}
