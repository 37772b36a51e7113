// SPDX-License-Identifier: Apache-2.0

package continuity

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/gateway-init/gateway-init/internal/reason"
	"github.com/gateway-init/gateway-init/internal/status"
	"github.com/gateway-init/gateway-init/tests/harness"
)

// launch holds everything that a start gives to the gateway, as the gateway saw it
// at its first instruction and as the host sees it.
type launch struct {
	Env      []string
	Received map[string]any // limits, umask, groups, descriptors, directory
	Host     map[string]string
	Prepared string
}

// look returns the launch of the gateway that serves now.
func look(t *testing.T, c *harness.Container) launch {
	t.Helper()
	var l launch
	for path, to := range map[string]any{"/api/env": &l.Env, "/api/limits": &l.Received} {
		r := c.HTTP("GET", path, c.Token(), "")
		if err := json.Unmarshal([]byte(r.Body), to); err != nil || r.Code != 200 {
			t.Fatalf("GET %s: %d %v %v", path, r.Code, r.Err, err)
		}
	}
	proc := fmt.Sprintf("/proc/%d/", c.GatewayHostPID())
	fields, err := harness.StatusFields(proc + "status")
	if err != nil {
		t.Fatal(err)
	}
	l.Host = map[string]string{}
	for _, name := range []string{
		"Umask", "Uid", "Gid", "Groups", "CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb", "NoNewPrivs",
		"Seccomp", "SigIgn", "CoreDumping", "THP_enabled", "Cpus_allowed",
	} {
		l.Host[name] = fields[name]
	}
	for _, name := range []string{"limits", "oom_score_adj", "cgroup", "cmdline", "coredump_filter", "personality"} {
		data, err := os.ReadFile(proc + name)
		if err != nil {
			t.Fatal(err)
		}
		l.Host[name] = string(data)
	}
	// The host reads the variables' values. The token differs between launches.
	data, err := os.ReadFile(proc + "environ")
	if err != nil {
		t.Fatal(err)
	}
	l.Host["environ"] = strings.ReplaceAll(string(data), c.Token(), "TOKEN")
	for _, link := range []string{"cwd", "root", "exe"} {
		if l.Host[link], err = os.Readlink(proc + link); err != nil {
			t.Fatal(err)
		}
	}
	var st unix.Stat_t
	if err := unix.Lstat(c.HostPath("/tmp/demo-gateway"), &st); err != nil {
		t.Fatal(err)
	}
	l.Prepared = fmt.Sprintf("%o %d:%d", st.Mode, st.Uid, st.Gid)
	return l
}

// differ returns an error that names the first difference.
func differ(first, now launch) error {
	if !reflect.DeepEqual(first.Env, now.Env) {
		return fmt.Errorf("environment was %q and is %q", first.Env, now.Env)
	}
	for key, was := range first.Received {
		if !reflect.DeepEqual(was, now.Received[key]) {
			return fmt.Errorf("received %s was %v and is %v", key, was, now.Received[key])
		}
	}
	for key, was := range first.Host {
		if was != now.Host[key] {
			return fmt.Errorf("%s was %q and is %q", key, was, now.Host[key])
		}
	}
	if first.Prepared != now.Prepared {
		return fmt.Errorf("prepared directory was %s and is %s", first.Prepared, now.Prepared)
	}
	return nil
}

// wipe removes everything in the container's /tmp, as a cleaner on the host does.
func wipe(t *testing.T, c *harness.Container) {
	t.Helper()
	entries, err := filepath.Glob(c.HostPath("/tmp") + "/*")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range entries {
		if err := os.RemoveAll(path); err != nil {
			t.Fatal(err)
		}
	}
}

// Scenario L19. A relaunch has the same environment, limits, umask and files
// as the first launch, even after /tmp was emptied.
//
// A gateway that was started again had another environment, other limits and no
// lock directory, because the entrypoint did its work only once (#2478).
func TestRelaunchKeepsEnvironmentAndLimits(t *testing.T) {
	t.Parallel()
	kill := func(t *testing.T, c *harness.Container) {
		if err := syscall.Kill(c.GatewayHostPID(), syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
	}
	exec := func(args ...string) func(*testing.T, *harness.Container) {
		return func(t *testing.T, c *harness.Container) {
			// The requester's environment does not reach the gateway.
			flags := []string{"-e", "NODE_OPTIONS=--evil", "-e", "TZ=Mars/Olympus", "-e", "EXTRA=1", "-e", "LD_PRELOAD=/tmp/x.so", "-w", "/tmp"}
			if r := c.ExecFlags(flags, "", nil, append([]string{"gatewayctl"}, args...)...); r.Code != 0 {
				t.Fatalf("%v: %v", args, r)
			}
		}
	}
	// The kernel counts a uid's processes over all containers, so nproc must allow
	// for those of other tests.
	c := harness.Start(t, harness.Options{
		Env:   map[string]string{"TZ": "Europe/Berlin", "NOT_PASSED": "1", "OPENCLAW_GATEWAY_TOKEN": "preset"},
		Extra: []string{"--ulimit", "nofile=4096:8192", "--ulimit", "nproc=20000", "--ulimit", "stack=4194304", "--group-add", "4242"},
		Config: map[string]any{"gateway": map[string]any{
			"env": map[string]any{"STATE": "/var/lib/gateway", "NODE_OPTIONS": "--disable-sigusr1"}, "rlimits": map[string]any{"nofile": 6000},
		}},
	})
	c.WaitServing(boot)
	first := look(t, c)
	if tz := first.Host["environ"]; !strings.Contains(tz, "TZ=Europe/Berlin") || strings.Contains(tz, "NOT_PASSED") || !strings.Contains(tz, "NODE_OPTIONS=--disable-sigusr1") {
		t.Fatalf("environment: %q", tz)
	}
	if nofile := first.Received["limits"].(map[string]any)["Max open files"]; nofile != "6000 6000" {
		t.Errorf("RLIMIT_NOFILE is %v", nofile)
	}
	for _, again := range []struct {
		name string
		do   func(*testing.T, *harness.Container)
	}{
		{"restart", exec("restart")},
		{"rotate", exec("restart", "--rotate-token")},
		{"crash", kill},
		{"stop-and-start", func(t *testing.T, c *harness.Container) { exec("stop")(t, c); exec("start")(t, c) }},
		{"own-exit", func(_ *testing.T, c *harness.Container) { c.Misbehave(map[string]any{"exit_after": "0s"}) }},
	} {
		t.Run(again.name, func(t *testing.T) {
			for _, cleaned := range []bool{false, true} {
				if cleaned {
					wipe(t, c)
				}
				old := c.Status().Gateway.Process
				again.do(t, c)
				c.WaitNewGateway(old, 20*time.Second)
				if err := differ(first, look(t, c)); err != nil {
					t.Errorf("launched again (/tmp wiped: %t): %v", cleaned, err)
				}
			}
		})
	}
}

// Scenario L19, a squatted directory. After /tmp was wiped the agent can create the
// gateway's directory first. An empty one is removed. Any other is named, and has
// to be removed by hand. A restart is refused for it, and the gateway goes on.
func TestSquattedDirectoryIsNamed(t *testing.T) {
	t.Parallel()
	c := harness.Start(t, harness.Options{})
	c.WaitServing(boot)
	first := look(t, c)

	wipe(t, c)
	c.Tools("sandbox", "mkdir", "/tmp/demo-gateway", "0777")
	checkRestarted(t, c.Ctl("restart"))
	if err := differ(first, look(t, c)); err != nil {
		t.Error(err)
	}

	wipe(t, c)
	c.Tools("sandbox", "mkdir", "/tmp/demo-gateway", "0777")
	c.Tools("sandbox", "mkdir", "/tmp/demo-gateway/mine", "0777")
	serving := c.Status().Gateway.Process
	r := c.Ctl("restart")
	if r.Code == 0 || !strings.Contains(r.Stderr, "prepare-failed") {
		t.Errorf("restart with a squatted directory: %v", r)
	}
	if now := c.Status(); now.Gateway.Process != serving || now.State != status.Running {
		t.Errorf("the old gateway was stopped for it: %s %+v", now.State, now.Gateway.Process)
	}
	hostKill(t, c, serving.PID)
	harness.Eventually(t, 10*time.Second, "a start that the directory is in the way of", func() error {
		if r := c.Status(); r.State != status.Backoff || r.Reason != reason.PrepareFailed || !strings.Contains(r.Detail, "/tmp/demo-gateway") {
			return fmt.Errorf("%s, %s: %s", r.State, r.Reason, r.Detail)
		}
		return nil
	})
	wipe(t, c)
	c.WaitServing(boot)
	if err := differ(first, look(t, c)); err != nil {
		t.Error(err)
	}
}
