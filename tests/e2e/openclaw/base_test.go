// SPDX-License-Identifier: Apache-2.0

//go:build long

package openclaw

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gateway-init/gateway-init/tests/harness"
)

// TestOwnBase builds the image on a user's base, which has Node at another path.
func TestOwnBase(t *testing.T) {
	takePlace(t)
	needImage(t)
	const base, name = "gateway-openclaw-test-base:dev", "gateway-openclaw-own:dev"
	r := build(t, base, `FROM `+harness.OpenClawImage+`
RUN rm -rf /usr/local/lib/node_modules /usr/local/bin/openclaw /usr/local/share/gateway-init /etc/openclaw /etc/gateway-init && \
    mv /usr/local/bin/node /usr/bin/node && chmod 0755 /usr/bin/node && \
    cp /bin/cat /usr/bin/setuid-cat && chmod 4755 /usr/bin/setuid-cat
ENTRYPOINT []
CMD ["/bin/sh"]
`)
	if r.Code != 0 {
		t.Fatalf("base: %v", r)
	}
	t.Cleanup(func() { harness.Engine(t, nil, "rmi", "-f", name) })
	cmd := exec.Command(filepath.Join(harness.Root(t), "image/openclaw/build"))
	cmd.Env = append(os.Environ(), "BASE="+base, "NAME="+name)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	out := harness.Engine(t, nil, "run", "--rm", "--network", "none", "--entrypoint", "/bin/sh", name, "-c",
		"gatewayctl verify-image --profile openclaw --json")
	var v report
	if err := json.Unmarshal([]byte(out.Stdout), &v); err != nil || !v.OK {
		t.Errorf("%v %v %v", err, v.failed(), out)
	}
	c := harness.Start(t, harness.Options{Image: name, NoState: true, Flags: flags(), Extra: []string{"--network", "none"},
		Env: map[string]string{"OPENCLAW_OFFLINE": "1"}})
	c.WaitServing(ready)
	if r := client(c, "openclaw", "--version"); r.Code != 0 {
		t.Errorf("%v", r)
	}
}

// TestDemo runs make openclaw-demo with the present image.
func TestDemo(t *testing.T) {
	takePlace(t)
	needImage(t)
	cmd := exec.Command(filepath.Join(harness.Root(t), "image/openclaw/demo.sh"))
	cmd.Dir = harness.Root(t)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, line := range []string{"the node sandbox is connected", "proven, with a new token", "read the token file: permission denied", "it says: gateway connected", "Ctrl-C ends it, exit code 0"} {
		if !strings.Contains(string(out), line) {
			t.Errorf("it does not say %q:\n%s", line, out)
		}
	}
}
