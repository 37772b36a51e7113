// SPDX-License-Identifier: Apache-2.0

package openclaw

import (
	"crypto/sha256"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/gateway-init/gateway-init/internal/status"
	"github.com/gateway-init/gateway-init/tests/harness"
)

// imageIsOurs checks the image's own validation, and that the image is made of this
// tree. A mounted configuration would hide both.
func imageIsOurs(t *testing.T) {
	var sums strings.Builder
	for file, source := range map[string]string{"/etc/gateway-init/config.json": "image/profiles/openclaw.json", "/etc/openclaw/openclaw.json": "image/openclaw/openclaw.json"} {
		data, err := os.ReadFile(filepath.Join(harness.Root(t), source))
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&sums, "%x  %s\n", sha256.Sum256(data), file)
	}
	r := harness.Engine(t, nil, "run", "--rm", "--network", "none", "--entrypoint", "/bin/sh", harness.OpenClawImage, "-c", "printf %s '"+sums.String()+"' | sha256sum -c --quiet")
	if r.Code != 0 {
		t.Errorf("the image is not of this tree, run make openclaw: %v", r)
	}
	if r := after(t, ":"); !r.OK {
		t.Errorf("%v", r.failed())
	}
}

// proven fails the test if a proof of the record is missing.
func proven(t *testing.T, r status.Record) {
	t.Helper()
	p := r.Proof
	for name, proof := range map[string]string{"child": p.Child, "listener": p.Listener, "ready": p.Ready, "auth": p.Auth} {
		if proof != status.Held {
			t.Errorf("the proof %s is %s", name, proof)
		}
	}
	if r.State != status.Running || len(p.Foreign) > 0 {
		t.Errorf("state %s, foreign listeners %v", r.State, p.Foreign)
	}
}

// loopbackOnly fails if the gateway's own port, which is not the published one, can be
// reached from outside.
func (s *story) loopbackOnly(t *testing.T) {
	t.Helper()
	loopback := []string{"0100007F", "00000000000000000000000001000000"}
	found, own := 0, s.Status().Gateway.Port
	for _, table := range []string{"net/tcp", "net/tcp6"} {
		text, err := readProc(s.HostPID(), table)
		if err != nil { // no IPv6
			continue
		}
		for line := range strings.Lines(text) {
			f := strings.Fields(line)
			if len(f) < 4 || f[3] != "0A" || !strings.HasSuffix(f[1], fmt.Sprintf(":%04X", own)) {
				continue
			}
			found++
			if addr, _, _ := strings.Cut(f[1], ":"); !slices.Contains(loopback, addr) {
				t.Errorf("the gateway listens on %s", f[1])
			}
		}
	}
	if found == 0 {
		t.Error("the gateway's port is in no table")
	}
}

// relayUID is the relay's user of the image.
const relayUID = 9004

// users fails if a process runs as the wrong user, or has a right that its user
// does not have. gateway-init runs as root, and gatewayctl does for a moment.
func (s *story) users(t *testing.T) {
	t.Helper()
	record := s.Status()
	want := map[int]int{record.Gateway.PID: harness.GatewayUID, record.Publish.Relay.PID: relayUID}
	for _, c := range record.Sidecars {
		if c.PID != 0 {
			want[c.PID] = map[string]int{"pair": harness.OperatorUID, "tools": harness.SandboxUID}[c.Name]
		}
	}
	for _, p := range s.Processes() {
		fields, err := harness.StatusFields(fmt.Sprintf("/proc/%d/status", p.HostPID))
		exe, errExe := os.Readlink(fmt.Sprintf("/proc/%d/exe", p.HostPID))
		if err != nil || errExe != nil { // it has ended
			continue
		}
		if uid, ok := want[p.PID]; ok && p.UID != uid {
			t.Errorf("%+v is not of uid %d", p, uid)
		}
		delete(want, p.PID)
		switch {
		case p.UID == 0:
			if exe != "/usr/local/sbin/gateway-init" && exe != "/usr/local/bin/gatewayctl" {
				t.Errorf("%+v is root's and executes %s", p, exe)
			}
		case p.UID != harness.GatewayUID && p.UID != harness.SandboxUID && p.UID != harness.OperatorUID && p.UID != relayUID:
			t.Errorf("%+v has a user of its own", p)
		case strings.Trim(fields["CapPrm"]+fields["CapEff"]+fields["CapAmb"], "0") != "" || fields["NoNewPrivs"] != "1":
			t.Errorf("%+v has rights: %s %s, no_new_privs %s", p, fields["CapPrm"], fields["CapEff"], fields["NoNewPrivs"])
		}
	}
	if len(want) > 0 && s.Status().Gateway.Process == record.Gateway.Process {
		for pid := range want {
			if record.Gateway.PID == pid {
				t.Errorf("the gateway %d is not there", pid)
			}
		}
	}
}

// environment fails if the gateway's environment is not the profile's. The values
// are repeated here, because each is a promise of docs/openclaw-profile.md.
func (s *story) environment(t *testing.T, gateway int) {
	t.Helper()
	text, err := readProc(s.HostPIDOf(gateway), "environ")
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	for _, kv := range strings.Split(strings.Trim(text, "\x00"), "\x00") {
		name, value, _ := strings.Cut(kv, "=")
		got[name] = value
	}
	for name, value := range map[string]string{
		tokenEnv: s.tokens[0], "ANTHROPIC_API_KEY": s.key,
		"OPENCLAW_STATE_DIR": "/var/lib/openclaw", "OPENCLAW_CONFIG_PATH": "/etc/openclaw/openclaw.json", "OPENCLAW_CONFIG_READONLY": "1",
		"OPENCLAW_SUPERVISOR_MODE": "external", "OPENCLAW_DISABLE_BONJOUR": "1", "OPENCLAW_NO_AUTO_UPDATE": "1",
		"OPENCLAW_GATEWAY_PORT": strconv.Itoa(int(s.Status().Gateway.Port)), "NODE_OPTIONS": "--disable-sigusr1", "NODE_COMPILE_CACHE": "/usr/local/share/openclaw-compile-cache", "TMPDIR": "/tmp/openclaw-gateway",
	} {
		if got[name] != value {
			t.Errorf("the gateway's %s is %.20q", name, got[name])
		}
		delete(got, name)
	}
	for _, name := range []string{"OPENCLAW_OFFLINE", "OPENCLAW_PACKAGED_COMPILE_CACHE_RESPAWNED", "HOME", "PATH", "USER", "LOGNAME", "SHELL", "LANG"} {
		delete(got, name)
	}
	if len(got) > 0 {
		t.Errorf("the gateway's environment has %v besides", slices.Sorted(maps.Keys(got)))
	}
}
