package invariants

import (
	"os"
	"strings"
	"testing"
	"time"

	"gatewayinit/tests/harness"
)

// I2: only root requests anything. Every other user is kept out by the owner and
// mode of FIFO and directories; files that others can write are believed by
// nobody: neither a status record nor a reply of theirs changes an answer.
func TestInvariantI2(t *testing.T) {
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
	// The same bytes from root do act: it was not the frame that was wrong.
	if r := c.ExecInput("root", frame, "demotools", "write", "/run/gateway-init/control/request"); r.Code != 0 {
		t.Fatalf("root: %v", r)
	}
	c.WaitNewGateway(before.Gateway.Process, 30*time.Second)
	// A record that another user owns is refused, whatever it says.
	path := c.HostPath("/run/gateway-init/status.json")
	if err := os.Chown(path, harness.GatewayUID, harness.GatewayUID); err != nil {
		t.Fatal(err)
	}
	for _, verb := range []string{"status", "health", "token"} {
		if r := c.Ctl(verb); r.Code == 0 {
			t.Errorf("%s believes a record of the gateway's user: %v", verb, r)
		}
	}
}
