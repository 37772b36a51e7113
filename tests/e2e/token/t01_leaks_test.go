package token

import (
	"encoding/json"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"gatewayinit/tests/harness"
)

// The agent read the token from a file, from a process list, from a log or
// from a core file; whoever has it controls the agent's controller.
func TestScenarioT01(t *testing.T) {
	for name, flags := range map[string][]string{"readme": nil, "plain": {}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := harness.Start(t, harness.Options{Flags: flags, Extra: []string{"--ulimit", "core=-1"}})
			c.WaitServing(30 * time.Second)
			tokens := []string{c.Token()}
			look := func(when string) {
				t.Helper()
				for _, token := range tokens {
					lookEverywhere(t, c, when, token)
				}
			}
			look("after the first start")
			c.MustCtl("restart")
			c.MustCtl("restart", "--rotate-token")
			tokens = append(tokens, c.Token())
			if tokens[0] == tokens[1] {
				t.Fatal("the rotation kept the token")
			}
			look("after a rotation")
			// A crash that asks for a core file. The kernel writes none of it.
			old := c.Status().Gateway.Process
			crash(t, c.GatewayHostPID())
			c.WaitNewGateway(old, 30*time.Second)
			look("after a crash")
			c.MustCtl("stop")
			look("when stopped")
		})
	}
}

func crash(t *testing.T, hostPID int) {
	t.Helper()
	p, err := os.FindProcess(hostPID)
	if err != nil {
		t.Fatal(err)
	}
	for _, sig := range quits {
		if err := p.Signal(sig); err != nil {
			t.Fatal(err)
		}
	}
}

func lookEverywhere(t *testing.T, c *harness.Container, when, token string) {
	t.Helper()
	r := c.ExecInput("sandbox", []byte(token), "demotools", "scan-token", "/")
	if r.Code != 0 || !strings.Contains(r.Stdout, "leaks=0") {
		t.Errorf("%s, as the agent: %v", when, r)
	}
	if strings.Contains(r.Stdout, "files=0 ") || strings.Contains(r.Stdout, "processes=0 ") {
		t.Errorf("%s: the scan looked at nothing: %v", when, r)
	}
	if err := leaked(t, token, c.Logs()); err != nil {
		t.Errorf("%s: the log has %v", when, err)
	}
	status := c.Ctl("status").Stdout + c.Ctl("status", "--json").Stdout
	if err := leaked(t, token, status); err != nil || len(status) < 200 {
		t.Errorf("%s: status has %v", when, err)
	}
	var inspected json.RawMessage
	c.Inspect(&inspected)
	if err := leaked(t, token, string(inspected)); err != nil {
		t.Errorf("%s: inspect shows %v", when, err)
	}
	if n := exported(t, c, token); n < 5 {
		t.Errorf("%s: the export has only %d files", when, n)
	}
	// The gateway's own directory, where its core file would be.
	err := filepath.WalkDir(c.StateDir(), func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		return leaked(t, token, string(data))
	})
	if err != nil {
		t.Errorf("%s: the gateway's directory: %v", when, err)
	}
}
