// SPDX-License-Identifier: Apache-2.0

package command

import (
	"strings"
	"testing"

	"github.com/gateway-init/gateway-init/tests/ns/box"
)

// TestEngineGroups checks supplementary groups that the engine gives (--group-add). The
// command has those that the configuration names, and one line at boot has the others.
// The line is not there if every group has an owner.
func TestEngineGroups(t *testing.T) {
	for name, c := range map[string]struct {
		sandbox, gateway, engine []int
		want, line               string
	}{
		"off":     {nil, nil, []int{4242, 4243}, "9002", `"groups":"4242 4243"`},
		"named":   {[]int{4242}, []int{4243}, []int{4242, 4243, 4244}, "4242 9002", `"groups":"4244"`},
		"covered": {[]int{4242, 4300}, []int{4243}, []int{4242, 4243}, "4242 4300 9002", ""},
		"none":    {nil, nil, nil, "9002", ""},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := map[string]any{"gateway": map[string]any{"groups": append([]int{}, c.gateway...)}, "sandbox": map[string]any{"groups": append([]int{}, c.sandbox...)}}
			b := box.Start(t, box.Options{Command: []string{"/usr/local/bin/demotools", "cat", "/proc/self/status"}, Config: cfg, Groups: c.engine})
			if end := b.Wait(patience); end.ExitStatus() != 0 {
				t.Fatalf("exit code %d", end.ExitStatus())
			}
			var got string
			for line := range strings.Lines(b.Log()) {
				if text, ok := strings.CutPrefix(line, "Groups:"); ok {
					got = strings.TrimSpace(text)
				}
			}
			if got != c.want {
				t.Errorf("the command's groups are %q, want %q", got, c.want)
			}
			if there := strings.Count(b.Log(), `"event":"engine-groups"`); there != min(len(c.line), 1) || !strings.Contains(b.Log(), c.line) {
				t.Errorf("%d lines, want %q", there, c.line)
			}
		})
	}
}

// TestSandboxInTheGatewaysGroup checks that no configuration puts the agent into the
// gateway's group.
func TestSandboxInTheGatewaysGroup(t *testing.T) {
	cfg := map[string]any{"sandbox": map[string]any{"groups": []int{9001}}}
	b := box.Start(t, box.Options{Command: []string{"/usr/local/bin/demotools", "exit", "0"}, Config: cfg})
	want := "cannot use sandbox.groups: 9001 is the gateway's primary group, and the agent must not have it: take it out of the list\n"
	if end := b.Wait(patience); end.ExitStatus() != 2 || !strings.HasSuffix(b.Log(), want) {
		t.Errorf("exit code %d\n%s", end.ExitStatus(), b.Log())
	}
}
