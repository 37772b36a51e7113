// SPDX-License-Identifier: Apache-2.0

package invariants

import (
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/gateway-init/gateway-init/tests/harness"
)

// Invariant I2. Only root can send requests. The owner and mode of the FIFO and its
// directories keep out every other user.
func TestOtherUsersCannotWriteRequests(t *testing.T) {
	c := harness.Start(t, harness.Options{})
	before := c.WaitServing(30 * time.Second)
	frame := []byte("v1 " + strings.Repeat("1f", 32) + " restart\n")
	for _, user := range []string{"sandbox", "operator", "gateway"} {
		if r := c.ExecInput(user, frame, "demotools", "write", "/run/gateway-init/control/request"); r.Code == 0 {
			t.Errorf("%s could write a request", user)
		}
	}
	for _, name := range []string{"control", "control/replies"} {
		if info, err := os.Stat(c.HostPath("/run/gateway-init/" + name)); err != nil || info.Mode().Perm() != 0o700 {
			t.Errorf("%s: %v, %v", name, info.Mode(), err)
		}
	}
	if info, err := os.Lstat(c.HostPath("/run/gateway-init/control/request")); err != nil || info.Mode() != os.ModeNamedPipe|0o600 {
		t.Errorf("FIFO: %v, %v", info.Mode(), err)
	}
	// The same bytes from root have an effect, so the frame itself is right.
	if r := c.ExecInput("root", frame, "demotools", "write", "/run/gateway-init/control/request"); r.Code != 0 {
		t.Fatalf("root: %v", r)
	}
	c.WaitNewGateway(before.Gateway.Process, 30*time.Second)
}

// Invariant I2, the answers. gatewayctl refuses a record that another user could have
// written. Here root may read any file, so that our own check of the owner refuses
// it, not the kernel.
func TestForgedRecordIsNeverBelieved(t *testing.T) {
	c := harness.Start(t, harness.Options{Flags: []string{}, // Docker's own capabilities: DAC_OVERRIDE is one
		Config: map[string]any{"gateway": map[string]any{"health": map[string]any{"interval": "10m"}}}})
	dir := c.WaitServing(30 * time.Second).RuntimeDir
	path := c.HostPath(dir + "/status.json")
	verbs := []string{"status", "health", "token"}
	for name, f := range map[string]struct {
		uid  int
		mode os.FileMode
		link bool
	}{
		"owned-by-the-gateway": {harness.GatewayUID, 0o600, false},
		"owned-by-the-agent":   {harness.SandboxUID, 0o600, false},
		"writable-by-all":      {0, 0o666, false},
		"second-link":          {0, 0o600, true},
	} {
		t.Run(name, func(t *testing.T) {
			if err := errors.Join(os.Chown(path, f.uid, f.uid), os.Chmod(path, f.mode)); err != nil {
				t.Fatal(err)
			}
			if f.link {
				if err := os.Link(path, path+".link"); err != nil {
					t.Fatal(err)
				}
			}
			for _, verb := range verbs {
				if r := c.Ctl(verb); r.Code == 0 || !strings.Contains(r.Stdout+r.Stderr, dir+"/status.json") {
					t.Errorf("%s believes it, or does not name it: %v", verb, r)
				}
			}
			if f.link {
				if err := os.Remove(path + ".link"); err != nil {
					t.Fatal(err)
				}
			}
			// With its first owner and mode the record is believed again.
			if err := errors.Join(os.Chown(path, 0, 0), os.Chmod(path, 0o600)); err != nil {
				t.Fatal(err)
			}
			for _, verb := range verbs {
				c.MustCtl(verb)
			}
		})
	}
}
