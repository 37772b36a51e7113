// SPDX-License-Identifier: Apache-2.0

package config

import (
	"fmt"
	"slices"
	"testing"
)

// TestVariableInValueIsNamed checks that a variable which no shell will ever read is
// named, and that the value of an env is not.
func TestVariableInValueIsNamed(t *testing.T) {
	for text, want := range map[string][]string{
		`{"gateway": {"command": ["/g", "--port", "$PORT"]}}`:                           {"gateway.command[2] PORT"},
		`{"gateway": {"command": ["/g", "127.0.0.1:${PORT}"]}}`:                         {"gateway.command[1] PORT"},
		`{"gateway": {"command": ["/g", "--port=$(PORT)"]}}`:                            {"gateway.command[1] PORT"},
		`{"gateway": {"command": ["/bin/sh", "-c", "exec /g --port $PORT"]}}`:           nil,
		`{"gateway": {"command": ["/g", "$1", "$5", "a$b", "$", "$$", "${", "U$D "]}}`:  nil,
		`{"gateway": {"command": ["/g"], "env": {"PATH": "/opt/bin:$PATH", "A": "b"}}}`: {"gateway.env.PATH PATH"},
		`{"gateway": {"command": ["/g"]}, "operator": {"env": {"X": "pa ${WORD}"}}}`:    {"operator.env.X WORD"},
		`{"gateway": {"command": ["/g"]}, "clients": {"tui": ["/t", "$HOME/x"]}}`:       {"clients.tui[1] HOME"},
		`{"gateway": {"command": ["/g"]}, "sidecars": [{"name": "a", "command": ["/s", "$X_1"], "env": {"B": "$$PATH"}}]}`: {
			"sidecars[0].command[1] X_1", "sidecars[0].env.B PATH"},
	} {
		c, err := Parse([]byte(text), "config.json")
		must(t, err)
		var wanted []string
		for _, w := range want {
			var key, name string
			fmt.Sscan(w, &key, &name)
			wanted = append(wanted, key+" has $"+name+", which is passed as it is, because no shell reads it: write the value")
		}
		var got []string
		for _, h := range c.Hints() {
			got = append(got, h.Key+" "+h.Text)
		}
		if !slices.Equal(got, wanted) {
			t.Errorf("%s:\ngot  %q\nwant %q", text, got, wanted)
		}
	}
}
