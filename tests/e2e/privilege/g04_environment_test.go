// SPDX-License-Identifier: Apache-2.0

package privilege

import (
	"strings"
	"testing"
	"time"

	"github.com/gateway-init/gateway-init/tests/harness"
)

// Scenario G04. Variables that docker exec -e sets (LD_PRELOAD, NODE_OPTIONS,
// PATH, GODEBUG) change no decision of gatewayctl.
//
// A variable given to docker exec, or left over in the calling shell, loaded a
// library or another program into the tool that runs as root.
func TestExecEnvironmentChangesNoDecision(t *testing.T) {
	c := harness.Start(t, harness.Options{})
	old := c.WaitServing(30 * time.Second).Gateway.Process
	var evil []string
	for _, kv := range []string{
		"LD_PRELOAD=/tmp/evil.so", "LD_LIBRARY_PATH=/tmp", "LD_AUDIT=/tmp/evil.so", "NODE_OPTIONS=--require /tmp/evil.js",
		"PATH=/evil", "GODEBUG=netdns=go+9,http2debug=2", "GOTRACEBACK=crash", "GOMAXPROCS=1", "GOGC=off", "BASH_ENV=/tmp/evil",
		"HOME=/evil", "TMPDIR=/evil", "XDG_RUNTIME_DIR=/tmp", "GATEWAY_INIT_CONFIG=/tmp/evil.json", "OPENCLAW_GATEWAY_TOKEN=stolen",
		"RUNTIME_DIR=/tmp", "TERM=/evil", "NO_COLOR=", "PYTHONSTARTUP=/tmp/evil.py",
	} {
		evil = append(evil, "-e", kv)
	}
	run := func(args ...string) harness.Result {
		return c.ExecFlags(evil, "root", nil, append([]string{"/usr/local/bin/gatewayctl"}, args...)...)
	}
	if r := run("restart"); r.Code != 0 || !strings.Contains(r.Stdout, "restarted") {
		t.Fatalf("restart: %v", r)
	}
	c.WaitNewGateway(old, 20*time.Second)
	for _, args := range [][]string{{"health"}, {"probe"}, {"recover"}, {"token"}, {"version"}, {"status"}} {
		plain, tainted := c.Ctl(args...), run(args...)
		if tainted.Code != plain.Code || args[0] == "token" && tainted.Stdout != plain.Stdout {
			t.Errorf("%v: without %v, with %v", args, plain, tainted)
		}
		if strings.Contains(tainted.Stdout+tainted.Stderr, "evil") || strings.Contains(tainted.Stdout, "stolen") {
			t.Errorf("%v: the environment shows: %v", args, tainted)
		}
	}
	// No variable reached the gateway that this restart started.
	if r := c.HTTP("GET", "/api/env", c.Token(), ""); r.Code != 200 || strings.Contains(r.Body, "LD_PRELOAD") || strings.Contains(r.Body, "NODE_OPTIONS") {
		t.Errorf("the gateway's environment: %+v", r)
	}
}
