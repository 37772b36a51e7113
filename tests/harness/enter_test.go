// SPDX-License-Identifier: Apache-2.0

package harness

import (
	"context"
	"os"
	"slices"
	"strings"
	"testing"
	"time"
)

// TestEnterIsExec checks that enter equals docker exec: the user, the rights, the
// namespaces and the answer.
func TestEnterIsExec(t *testing.T) {
	c := Start(t, Options{})
	c.WaitServing(20 * time.Second)
	if !c.plainRoot || c.life.pid() == 0 {
		t.Fatal("the harness does not enter a container with the README's flags")
	}
	entered := func(args ...string) Result {
		t.Helper()
		r, err := enter(context.Background(), c.HostPID(), nil, args)
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	const tools = "demotools"
	rights := func(r Result) (kept []string) {
		for line := range strings.Lines(r.Stdout) {
			key, _, _ := strings.Cut(line, ":")
			if slices.Contains([]string{"PPid", "Uid", "Gid", "Groups", "CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb", "NoNewPrivs"}, key) {
				kept = append(kept, line)
			}
		}
		return kept
	}
	got, want := rights(entered(tools, "cat", "/proc/self/status")), rights(c.Exec("", tools, "cat", "/proc/self/status"))
	if len(want) != 10 || !slices.Equal(got, want) {
		t.Errorf("rights: %q, by docker exec %q", got, want)
	}
	target := func(r Result) string { _, to, _ := strings.Cut(r.Stdout, " -> "); return to }
	for _, namespace := range []string{"mnt", "pid", "net", "ipc", "uts", "cgroup", "user"} {
		link := "/proc/self/ns/" + namespace
		if got, want := target(entered(tools, "stat", link)), target(c.Exec("", tools, "stat", link)); got != want || want == "" {
			t.Errorf("%s: %q, by docker exec %q", namespace, got, want)
		}
	}
	for code, args := range map[int][]string{0: {"gatewayctl", "wait"}, 2: {"gatewayctl", "nonsense"}} {
		got, want := entered(args...), c.ExecFlags(nil, "", nil, args...)
		if got.Code != code || want.Code != code || got.Stdout != want.Stdout || got.Stderr != want.Stderr {
			t.Errorf("%s: %v, by docker exec %v", args, got, want)
		}
	}
	if _, err := enter(context.Background(), c.HostPID(), nil, []string{"no-such-program"}); err == nil {
		t.Error("a program that is not there has an answer")
	}
	host, err := os.Readlink("/proc/self/ns/mnt")
	if inside := target(entered(tools, "stat", "/proc/self/ns/mnt")); err != nil || strings.TrimSpace(inside) == host {
		t.Errorf("this process is in the container's namespaces: %s, %v", host, err)
	}
	c.MustCtl("stop")
	if v := c.View(); v.Serving || v.ExitCode != 4 {
		t.Errorf("after a stop: %+v", v)
	}
}

// TestPlainRoot checks that enter is not used with flags that change docker exec.
func TestPlainRoot(t *testing.T) {
	for name, try := range map[string]struct {
		o    Options
		want bool
	}{
		"readme":     {Options{Extra: append(IPv6(), "-v", "/a:/b")}, true},
		"own-flags":  {Options{Flags: []string{}}, false},
		"user":       {Options{Extra: []string{"--user=1000"}}, false},
		"capability": {Options{Extra: []string{"--cap-add", "SYS_PTRACE"}}, false},
		"seccomp":    {Options{Extra: []string{"--security-opt", "seccomp=/x"}}, false},
		"image":      {Options{Image: OpenClawImage}, false},
		"env":        {Options{Env: map[string]string{"A": "b"}}, false},
	} {
		if try.o.Image == "" {
			try.o.Image = DemoImage // as Start does
		}
		if got := plainRoot(try.o); got != try.want && engine() == "docker" {
			t.Errorf("%s: %v, want %v", name, got, try.want)
		}
	}
}
