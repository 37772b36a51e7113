// SPDX-License-Identifier: Apache-2.0

package nearest

import (
	"strings"
	"testing"
)

func TestDistance(t *testing.T) {
	for _, c := range []struct {
		a, b string
		want int
	}{
		{"", "", 0}, {"", "abc", 3}, {"comand", "command", 1}, {"statsu", "status", 1}, {"wach", "watch", 1},
		{"port", "prot", 1}, {"kitten", "sitting", 3}, {"ab", "ba", 1}, {"same", "same", 0},
		{strings.Repeat("a", maxWord), strings.Repeat("a", maxWord-1), 1},
		{strings.Repeat("a", maxWord+1), strings.Repeat("a", maxWord+1), maxWord},
	} {
		for _, pair := range [][2]string{{c.a, c.b}, {c.b, c.a}} {
			if got := distance(pair[0], pair[1]); got != c.want {
				t.Errorf("distance(%q, %q) = %d, want %d", pair[0], pair[1], got, c.want)
			}
		}
	}
}

func TestNearestWord(t *testing.T) {
	known := []string{"status", "start", "stop", "restart", "token", "tui", "up"}
	for word, want := range map[string]string{
		"statsu": "status", "strat": "start", "stop": "stop", "restrat": "restart", "tokn": "token", "tiu": "tui",
		"sto": "stop", "STATUS": "status", "Restart": "restart", "explode": "", "x": "", "": "", strings.Repeat("status", 20): "",
	} {
		if got, _, ok := Word(word, known); got != want || ok != (want != "") {
			t.Errorf("Word(%q) = %q %t, want %q", word, got, ok, want)
		}
	}
	if got := Hint("wach", "--", []string{"json", "watch"}); got != ": did you mean --watch?" {
		t.Errorf("Hint = %q", got)
	}
	for _, word := range []string{"explode", "st", "re-"} {
		if got := Hint(word, "--", known); got != "" {
			t.Errorf("Hint(%q) = %q", word, got)
		}
	}
	long := []string{"no-gateway", "no-token", "revoke-devices"}
	for word, want := range map[string]string{"revoke": ": did you mean --revoke-devices?", "no-": "", "no-t": ": did you mean --no-token?"} {
		if got := Hint(word, "--", long); got != want {
			t.Errorf("Hint(%q) = %q, want %q", word, got, want)
		}
	}
}
