// SPDX-License-Identifier: Apache-2.0

package openclaw

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/gateway-init/gateway-init/tests/harness"
)

func readProc(hostPID int, name string) (string, error) {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/%s", hostPID, name))
	return string(data), err
}

// noTokenInMemory looks at the environment of every process, as root of the host.
// Only processes of the gateway's user and of the operator may have the token.
func noTokenInMemory(t *testing.T, c *harness.Container, when, token string) {
	t.Helper()
	for _, p := range c.Processes() {
		env, err := readProc(p.HostPID, "environ")
		if err != nil {
			continue // it has ended
		}
		if p.UID != harness.GatewayUID && p.UID != harness.OperatorUID && strings.Contains(env, token) {
			t.Errorf("%s: the environment of %+v has the token", when, p)
		}
		if line, _ := readProc(p.HostPID, "cmdline"); strings.Contains(line, token) {
			t.Errorf("%s: an argument of %+v is the token", when, p)
		}
	}
}

// report is gatewayctl verify-image --json (docs/image.md).
type report struct {
	OK     bool `json:"ok"`
	Checks []struct {
		Name, Result, Detail string
	} `json:"checks"`
}

func (r report) failed() (names []string) {
	for _, c := range r.Checks {
		if c.Result == "failed" {
			names = append(names, c.Name+": "+c.Detail)
		}
	}
	return names
}

// after runs a command as root in a container of the image, then the image's own
// validation there.
func after(t *testing.T, command string) report {
	t.Helper()
	r := harness.Engine(t, nil, "run", "--rm", "--network", "none", "--entrypoint", "/bin/sh", harness.OpenClawImage,
		"-c", command+"\ngatewayctl verify-image --profile openclaw --json")
	var out report
	if err := json.Unmarshal([]byte(r.Stdout), &out); err != nil || out.OK != (r.Code == 0) {
		t.Fatalf("%v: %v", err, r)
	}
	return out
}
