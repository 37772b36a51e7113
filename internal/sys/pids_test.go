// SPDX-License-Identifier: Apache-2.0

package sys

import (
	"os"
	"slices"
	"testing"
)

// TestPidsDirs checks that the own cgroup and all above it are looked at, in both
// versions, and no folder outside.
func TestPidsDirs(t *testing.T) {
	const v1 = "/sys/fs/cgroup/pids"
	for name, c := range map[string]struct {
		own  string
		want []string
	}{
		"unreadable":     {"", []string{"/sys/fs/cgroup", v1}},
		"private-v2":     {"0::/\n", []string{"/sys/fs/cgroup", v1}},
		"nested-v2":      {"0::/a/b\n", []string{"/sys/fs/cgroup/a/b", "/sys/fs/cgroup/a", "/sys/fs/cgroup", v1}},
		"host-v1":        {"9:cpu,cpuacct:/x\n8:pids:/docker/c\n0::/\n", []string{"/sys/fs/cgroup", v1 + "/docker/c", v1 + "/docker", v1}},
		"outside":        {"0::/../../etc\n", []string{"/sys/fs/cgroup/etc", "/sys/fs/cgroup", v1}},
		"path-has-colon": {"0::/a:b\n", []string{"/sys/fs/cgroup/a:b", "/sys/fs/cgroup", v1}},
	} {
		t.Run(name, func(t *testing.T) {
			if got := pidsDirs(c.own); !slices.Equal(got, c.want) {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}

// TestReadPids checks that only two whole numbers are a limit.
func TestReadPids(t *testing.T) {
	for name, c := range map[string]struct {
		max, current string
		want         Pids
		limited      bool
	}{
		"limited":    {"64\n", "50\n", Pids{64, 50}, true},
		"used-up":    {"64\n", "70\n", Pids{64, 70}, true},
		"unlimited":  {"max\n", "50\n", Pids{Current: 50}, false},
		"no-current": {"64\n", "", Pids{Max: 64}, false},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			for file, data := range map[string]string{"pids.max": c.max, "pids.current": c.current} {
				if err := os.WriteFile(dir+"/"+file, []byte(data), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			p, limited := readPids(dir)
			if limited != c.limited || limited && p != c.want {
				t.Errorf("got %+v %v", p, limited)
			}
			if p.Free() < 0 {
				t.Errorf("%d are free", p.Free())
			}
		})
	}
	if _, limited := readPids(t.TempDir()); limited {
		t.Error("an empty folder sets a limit")
	}
}
