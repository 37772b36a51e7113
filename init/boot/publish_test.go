// SPDX-License-Identifier: Apache-2.0

package boot

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/gateway-init/gateway-init/internal/config"
	"github.com/gateway-init/gateway-init/internal/ports"
	"github.com/gateway-init/gateway-init/internal/relaycount"
	"github.com/gateway-init/gateway-init/internal/testenv"
	"github.com/gateway-init/gateway-init/internal/users"
)

// TestPortOfClientsIsRefused checks that the gateway's port is none that the kernel gives
// to clients, and that the error says what to type.
func TestPortOfClientsIsRefused(t *testing.T) {
	e, err := ports.ReadEphemeral()
	testenv.Must(t, err)
	for name, c := range map[string]struct {
		gateway config.Gateway
		refused bool
	}{
		"below":     {config.Gateway{Port: e.First - 1}, false},
		"first":     {config.Gateway{Port: e.First}, true},
		"last":      {config.Gateway{Port: e.Last}, true},
		"fixed-env": {config.Gateway{Port: e.First, PortEnv: "P"}, true},
		"random":    {config.Gateway{PortEnv: "P"}, false},
		"passed":    {config.Gateway{Port: e.First, PassFD: true}, false},
	} {
		err := checkPort(&c.gateway)
		if (err != nil) != c.refused || err != nil && !strings.Contains(err.Error(), fmt.Sprintf("ports from %d to %d to clients", e.First, e.Last)) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestRelayHasAUserOfItsOwn checks that no other role can trace the relay, through which
// tokens pass.
func TestRelayHasAUserOfItsOwn(t *testing.T) {
	base := identities{gateway: users.User{UID: 1}, sandbox: users.User{UID: 2}, operator: users.User{UID: 3}, sidecars: []users.User{{UID: 2}, {UID: 5}}}
	for uid, want := range map[uint32]string{1: "gateway.user", 2: "sandbox.user and sidecars[0].user", 3: "operator.user", 5: "sidecars[1].user", 4: ""} {
		who := base
		who.relay.UID = uid
		err := who.checkRelay()
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), fmt.Sprintf("uid %d is also that of %s,", uid, want))) {
			t.Errorf("uid %d: %v", uid, err)
		}
	}
}

// TestCountersAreMadeAnew checks that the file of an earlier run is replaced, and that
// anything else at its place ends boot.
func TestCountersAreMadeAnew(t *testing.T) {
	dir, err := os.Open(t.TempDir())
	testenv.Must(t, err)
	defer dir.Close()
	for range 2 {
		f, err := makeCounters(dir)
		testenv.Must(t, err)
		if c, err := relaycount.Read(f); err != nil || c != (relaycount.Counters{}) {
			t.Errorf("got %+v, %v", c, err)
		}
		f.Close()
	}
	path := dir.Name() + "/" + relaycount.Name
	testenv.Must(t, os.Remove(path))
	testenv.Must(t, os.Symlink("/etc/passwd", path))
	if f, err := makeCounters(dir); err == nil {
		f.Close()
		t.Error("a link was followed or replaced")
	}
}
