// SPDX-License-Identifier: Apache-2.0

package privilege

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/gateway-init/gateway-init/tests/harness"
)

// closedOnExec fails the test if execve(2) keeps a descriptor beyond 2 open. Such a
// descriptor came from the parent, or a child would get it. Programs mark
// descriptors that they open with O_CLOEXEC, here as in Go's runtime.
func closedOnExec(t *testing.T, who string, hostPID int) {
	t.Helper()
	paths, err := filepath.Glob(fmt.Sprintf("/proc/%d/fdinfo/*", hostPID))
	if err != nil || len(paths) < 3 {
		t.Fatalf("%s: cannot list descriptors: %v, %v", who, paths, err)
	}
	for _, path := range paths {
		fields, err := harness.StatusFields(path)
		if errors.Is(err, fs.ErrNotExist) { // it has been closed
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		flags, err := strconv.ParseUint(fields["flags"], 8, 32)
		if err != nil {
			t.Fatalf("%s: %s has no flags: %v", who, path, fields)
		}
		fd, err := strconv.Atoi(filepath.Base(path))
		if err != nil {
			t.Fatal(err)
		}
		if fd > 2 && flags&unix.O_CLOEXEC == 0 {
			target, _ := os.Readlink(fmt.Sprintf("/proc/%d/fd/%d", hostPID, fd))
			t.Errorf("%s has descriptor %d, %s, which is inherited", who, fd, target)
		}
	}
}

// notDumpable checks files of /proc that need ptrace rights. Another root of the
// container, with all of PID 1's capabilities, may not read those of PID 1. The
// gateway's user may not read those of the gateway, whose program is execute-only.
// It can read those of its own dumpable program, which shows that the check can
// fail. Status has the flag as read at boot. This checks a later moment. A child
// that is forked with another uid shares our memory until its execve(2). The change
// of credentials there sets the flag of both to fs.suid_dumpable.
func notDumpable(t *testing.T, c *harness.Container, gateway int) {
	t.Helper()
	c.ExecDetached("gateway", "demotools", "sleep", "600")
	readable := 0
	harness.Eventually(t, 5*time.Second, "a readable program of the gateway's user", func() error {
		for _, p := range c.Processes() {
			if p.UID == harness.GatewayUID && p.Comm == "demotools" {
				readable = p.PID
				return nil
			}
		}
		return errors.New("there is none")
	})
	for _, name := range []string{"maps", "environ", "auxv"} {
		if r := c.Exec("root", "demotools", "cat", "/proc/1/"+name); r.Code == 0 || !strings.Contains(r.Stderr, "permission denied") {
			t.Errorf("root reads %s of PID 1: it is dumpable (code %d, %s)", name, r.Code, r.Stderr)
		}
		if r := c.Exec("gateway", "demotools", "cat", fmt.Sprintf("/proc/%d/%s", gateway, name)); r.Code == 0 || !strings.Contains(r.Stderr, "permission denied") {
			t.Errorf("the gateway's user reads %s of the gateway: it is dumpable (code %d, %s)", name, r.Code, r.Stderr)
		}
		if r := c.Exec("gateway", "demotools", "cat", fmt.Sprintf("/proc/%d/%s", readable, name)); r.Code != 0 {
			t.Errorf("the gateway's user cannot read %s of its own program: %v", name, r.Stderr)
		}
	}
	c.Tools("root", "sigsend", strconv.Itoa(readable), "KILL")
}

// worker checks a proof worker. A gateway that hangs keeps the worker alive long
// enough.
func worker(t *testing.T, c *harness.Container) {
	t.Helper()
	c.Misbehave(map[string]any{"accept": "hang"})
	c.ExecDetached("root", "gatewayctl", "probe")
	gateway := c.GatewayHostPID()
	harness.Eventually(t, 20*time.Second, "a worker to be looked at", func() error {
		for _, p := range c.Processes() {
			if p.UID != harness.GatewayUID || p.HostPID == gateway || strings.HasPrefix(p.State, "Z") {
				continue
			}
			link, err := os.Readlink(fmt.Sprintf("/proc/%d/exe", p.HostPID))
			if err != nil || !strings.HasSuffix(link, "/gateway-init") {
				return fmt.Errorf("process %d executes %q, %v", p.PID, link, err)
			}
			return workerIs(p.HostPID)
		}
		return fmt.Errorf("none among %v", c.Processes())
	})
}

// workerIs returns an error if a worker has any privilege. It does not end the
// test, because the worker may exit during the check. Its successor can be checked
// instead.
func workerIs(hostPID int) error {
	paths, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/status", hostPID))
	if err != nil || len(paths) == 0 {
		return fmt.Errorf("no threads: %v", err)
	}
	for _, path := range paths {
		fields, err := harness.StatusFields(path)
		if err != nil {
			return err
		}
		for name, want := range map[string]string{
			"CapInh": zeroCaps, "CapPrm": zeroCaps, "CapEff": zeroCaps, "CapBnd": zeroCaps, "CapAmb": zeroCaps, "NoNewPrivs": "1",
			"Uid": ids(harness.GatewayUID), "Gid": ids(harness.GatewayUID), "Groups": fmt.Sprint(harness.GatewayUID),
		} {
			if fields[name] != want {
				return fmt.Errorf("%s: %s is %q, want %q", path, name, fields[name], want)
			}
		}
	}
	return nil
}
