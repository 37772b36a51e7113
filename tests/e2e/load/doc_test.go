// SPDX-License-Identifier: Apache-2.0

// Package load has the tests of PID 1's resources: many restarts in a row and at
// once, and an idle minute.
package load

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/gateway-init/gateway-init/tests/harness"
)

// usage is the resources that PID 1 holds.
type usage struct {
	rssKB, threads, fds int
	switches            int // voluntary context switches of all threads
}

func (u usage) String() string {
	return fmt.Sprintf("rss %d KiB, %d threads, %d descriptors, %d voluntary switches", u.rssKB, u.threads, u.fds, u.switches)
}

func measure(t *testing.T, pid int) (u usage) {
	t.Helper()
	dir := fmt.Sprintf("/proc/%d", pid)
	fields := statusOf(t, dir)
	u.rssKB, u.threads = parseNumber(t, fields["VmRSS"]), parseNumber(t, fields["Threads"])
	fds, err := os.ReadDir(dir + "/fd")
	if err != nil {
		t.Fatal(err)
	}
	u.fds = len(fds)
	tasks, err := filepath.Glob(dir + "/task/*")
	if err != nil || len(tasks) == 0 {
		t.Fatalf("cannot list the threads of PID 1: %v", err)
	}
	for _, task := range tasks {
		u.switches += parseNumber(t, statusOf(t, task)["voluntary_ctxt_switches"])
	}
	return u
}

func statusOf(t *testing.T, dir string) map[string]string {
	t.Helper()
	fields, err := harness.StatusFields(dir + "/status")
	if err != nil {
		t.Fatal(err)
	}
	return fields
}

// parseNumber returns the first number of a field such as "3220 kB".
func parseNumber(t *testing.T, field string) int {
	t.Helper()
	n, err := strconv.Atoi(strings.Fields(field + " ?")[0])
	if err != nil {
		t.Fatalf("not a number: %q", field)
	}
	return n
}

// checkNoZombies returns an error if the container has a zombie. The engine reaps the
// processes of its execs, which may be zombies for a moment.
func checkNoZombies(c *harness.Container) error {
	for _, p := range c.Processes() {
		if p.State == "Z" {
			return fmt.Errorf("zombie %d (%s) of uid %d", p.PID, p.Comm, p.UID)
		}
	}
	return nil
}
