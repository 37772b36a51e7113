// SPDX-License-Identifier: Apache-2.0

package main

import "testing"

// TestRequireSeparation checks that the exit code reports missing separation, but
// first a gateway that does not serve.
func TestRequireSeparation(t *testing.T) {
	for name, c := range map[string]struct {
		separation string
		down       bool
		args       []string
		code       int
		stdout     string
		says       string
	}{
		"uid":            {"uid", false, nil, exitOK, "SERVING", ""},
		"none":           {"none", false, nil, exitRefused, "separation", "not separated"},
		"none-json":      {"none", false, []string{"--json"}, exitRefused, `"exit_code":3`, "not separated"},
		"none-and-down":  {"none", true, nil, exitNotServing, "STOPPED", ""},
		"watch-too":      {"none", false, []string{"--watch"}, exitUsage, "", "do not go together"},
		"not-demanded":   {"none", false, []string{"--require-separation=false"}, exitOK, "separation", ""},
		"demanded-twice": {"none", false, []string{"--require-separation"}, exitRefused, "separation", "not separated"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newFixture(t)
			w.up()
			w.record.Separation = c.separation
			if c.down {
				w.record.State, w.record.Goal = "stopped", "stop"
			}
			w.publish()
			w.want(w.run(append([]string{"status", "--require-separation"}, c.args...)...), c.code, c.stdout, c.says)
		})
	}
}

// TestNoClientsWithoutRoot checks that no operator gets the token without root.
func TestNoClientsWithoutRoot(t *testing.T) {
	for _, verb := range [][]string{{"exec", "true"}, {"tui"}} {
		w := newFixture(t)
		w.up()
		w.publish()
		w.local.EUID, w.local.Owner = 1000, 1000
		w.want(w.run(verb...), exitRefused, "", "nothing is separated")
	}
}

// TestOwnerIsPID1 checks that only PID 1's user has rights, and that a message names it.
func TestOwnerIsPID1(t *testing.T) {
	w := newFixture(t)
	w.local.EUID, w.local.Owner = 0, 1000
	w.want(w.run("restart"), exitRefused, "", "only uid 1000")
	w.local.EUID, w.local.Owner = 1000, 0
	w.want(w.run("restart"), exitRefused, "", "only root may")
}
