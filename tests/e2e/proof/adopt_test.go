// SPDX-License-Identifier: Apache-2.0

package proof

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/gateway-init/gateway-init/tests/harness"
)

const serveBy = 20 * time.Second

// operators returns the users that call gatewayctl. These are the supervisor's
// user, and root below a foreign PID 1. Root does not trust the files of that user.
func operators(t *testing.T) []string {
	if harness.Managed() {
		return []string{"", "0:0"}
	}
	return []string{""}
}

// readable is a copy of the demo gateway that its user may read. If a user cannot
// read a program, the kernel shows only root what its process has open.
const readable = "/opt/demogateway"

func mountReadable(t *testing.T) []string {
	return []string{"-v", harness.Root(t) + "/bin/demogateway:" + readable + ":ro"}
}

// byHand starts a gateway, as a user could by docker exec, and returns its pid when
// it serves.
func byHand(t *testing.T, box *harness.Container, user string) (pid int) {
	t.Helper()
	box.ExecFlags([]string{"-d", "-e", "OPENCLAW_GATEWAY_TOKEN=somebody-elses"}, user, nil, readable)
	harness.Eventually(t, serveBy, "the gateway that was started by hand", func() error {
		if r := box.HTTP("GET", "/readyz", "", ""); r.Code != 200 {
			return fmt.Errorf("%d", r.Code)
		}
		return nil
	})
	for _, p := range box.Processes() {
		if p.Comm == "demogateway" && !strings.HasPrefix(p.State, "Z") {
			pid = p.PID
		}
	}
	if pid == 0 {
		t.Fatalf("it is not there: %+v", box.Processes())
	}
	return pid
}

func cmdline(p harness.Process) string {
	text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", p.HostPID))
	return string(text)
}

// Scenario P02. A healthy gateway that gateway-init did not start is reported as
// exactly that, and one command takes over.
func TestUnmanagedGatewayIsReportedAndAdopted(t *testing.T) {
	t.Parallel()
	for _, operator := range operators(t) {
		starters := []string{"sandbox"} // the next start sweeps processes of the gateway's own user, if it has one
		if !harness.NonRoot(t) || operator == "0:0" {
			starters = append(starters, "0:0")
		}
		for _, starter := range starters {
			t.Run("by "+starter+", asked by "+operator, func(t *testing.T) {
				t.Parallel()
				box := harness.Start(t, harness.Options{Command: []string{"demotools", "sleep", "600"}, Extra: mountReadable(t)})
				box.WaitServing(serveBy)
				box.MustCtl("stop")
				ctl := func(args ...string) harness.Result {
					return box.ExecFlags([]string{"-i"}, operator, nil, append([]string{"gatewayctl"}, args...)...)
				}
				if r := ctl("adopt"); r.Code != 4 || !strings.Contains(r.Stderr, "there is no gateway to take over") {
					t.Errorf("adopt, with the port free: %v", r)
				}
				unmanaged := byHand(t, box, starter)
				if r := ctl("start"); r.Code != 4 || !strings.Contains(r.Stderr, "listener-foreign") {
					t.Errorf("start: %v", r)
				}
				named := fmt.Sprintf("unsupervised: pid %d ", unmanaged)
				if r := ctl("status").Unwrapped(); r.Code != 4 || !strings.Contains(r.Stdout, named) || !strings.Contains(r.Stdout, "gatewayctl adopt") {
					t.Errorf("status: %v", r)
				}
				if r := ctl("adopt"); r.Code != 0 || !strings.Contains(r.Stdout, "proven") {
					t.Errorf("adopt: %v", r)
				}
				ours := box.WaitServing(serveBy)
				for _, p := range box.Processes() {
					if p.PID == unmanaged {
						t.Errorf("the stranger is there: %+v", p)
					}
				}
				if r := box.HTTP("GET", "/api/whoami", box.Token(), ""); r.Code != 200 {
					t.Errorf("our token: %d", r.Code)
				}
				if r := ctl("adopt"); r.Code != 0 || r.Stdout != fmt.Sprintf("already ours: pid %d, proven\n", ours.Gateway.PID) {
					t.Errorf("adopt once more: %v", r)
				}
			})
		}
	}
}

// TestNotAdopted checks that adopt ends only a gateway.
func TestNotAdopted(t *testing.T) {
	t.Parallel()
	for _, operator := range operators(t) {
		t.Run("asked by "+operator, func(t *testing.T) {
			t.Parallel()
			box := harness.Start(t, harness.Options{Command: []string{"demotools", "sleep", "600"},
				Config: map[string]any{"gateway": map[string]any{"health": map[string]any{"timeout": "500ms"}}}})
			box.WaitServing(serveBy)
			box.MustCtl("stop")
			box.ExecDetached("sandbox", "demotools", "hold-port", "-retry", "60", "127.0.0.1:18789")
			harness.Eventually(t, serveBy, "the port to be taken", func() error {
				if r := box.Ctl("start"); !strings.Contains(r.Stderr, "listener-foreign") {
					box.Ctl("stop")
					return fmt.Errorf("%v", r)
				}
				return nil
			})
			ctl := func(verb string) harness.Result {
				return box.ExecFlags([]string{"-i"}, operator, nil, "gatewayctl", verb)
			}
			if r := ctl("adopt"); r.Code != 4 || !strings.Contains(r.Stderr, "does not serve") {
				t.Errorf("adopt: %v", r)
			}
			if r := ctl("status").Unwrapped(); strings.Contains(r.Stdout, "unsupervised: pid") || r.Code != 4 {
				t.Errorf("status: %v", r)
			}
			for _, p := range box.Processes() {
				if strings.Contains(cmdline(p), "hold-port") {
					return
				}
			}
			t.Error("it was ended")
		})
	}
}

// TestNotAdoptedOwn checks that adopt ends no child of gateway-init, even if it
// holds the port.
func TestNotAdoptedOwn(t *testing.T) {
	t.Parallel()
	for _, operator := range operators(t) {
		t.Run("asked by "+operator, func(t *testing.T) {
			t.Parallel()
			box := harness.Start(t, harness.Options{Command: []string{"demotools", "hold-port", "-retry", "60", "127.0.0.1:18789"}})
			box.WaitServing(serveBy)
			box.MustCtl("stop")
			harness.Eventually(t, serveBy, "the port to be taken", func() error {
				if r := box.Ctl("start"); !strings.Contains(r.Stderr, "listener-foreign") {
					box.Ctl("stop")
					return fmt.Errorf("%v", r)
				}
				return nil
			})
			command := box.Status().Command.PID
			r := box.ExecFlags([]string{"-i"}, operator, nil, "gatewayctl", "adopt")
			if r.Code != 3 || !strings.Contains(r.Stderr, fmt.Sprintf("own child has the port open: pid %d", command)) || !strings.Contains(r.Stderr, "nothing was ended") {
				t.Errorf("adopt: %v", r)
			}
			if now := box.Status().Command; now.PID != command || now.State != "running" {
				t.Errorf("the command: %+v", now)
			}
		})
	}
}
