// SPDX-License-Identifier: Apache-2.0

package users

import (
	"errors"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/gateway-init/gateway-init/internal/testenv"
)

// TestUnmappedIDsAreNamed checks the maps that engines make.
func TestUnmappedIDsAreNamed(t *testing.T) {
	const whole = "         0          0 4294967295\n"
	u := User{Name: "gateway", UID: 9001, GID: 9001, Groups: []uint32{9001, 9005}}
	for name, c := range map[string]struct{ uids, gids, setgroups, want string }{
		"no-namespace":     {whole, whole, "allow\n", ""},
		"two-ranges":       {"0 1000 1\n1 100000 65536\n", "0 1000 1\n1 100000 65536\n", "allow\n", ""},
		"one-id":           {"0 1000 1\n", "0 1000 1\n", "deny\n", "no uid 9001"},
		"last-id-missing":  {"0 0 9001\n", whole, "allow\n", "no uid 9001"},
		"just-enough":      {"0 0 9002\n", "0 0 9006\n", "allow\n", ""},
		"no-gid":           {whole, "0 0 9001\n", "allow\n", "no gid 9001"},
		"no-further-group": {whole, "0 0 9005\n", "allow\n", "no gid 9005"},
		"first-id-missing": {"9002 9002 10\n", whole, "allow\n", "no uid 9001"},
		"setgroups-denied": {whole, whole, "deny\n", "forbids setgroups(2)"},
		"not-yet-written":  {"", "", "allow\n", "no uid 9001"},
	} {
		err := checkMapped(c.uids, c.gids, c.setgroups, []User{u})
		if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want %q", name, err, c.want)
		}
	}
	if err := CheckMapped(User{Name: "root"}); err != nil { // mapped wherever this test runs
		t.Error(err)
	}
	for _, odd := range []string{"0 0\n", "0 0 x\n", "x 0 4294967295\n", "0 0 4294967295 1\n"} {
		if hasID(odd, 0) {
			t.Errorf("the line %q maps an id", odd)
		}
	}
}

// TestMapsThatCannotBeRead checks that a namespace that cannot be seen is refused.
func TestMapsThatCannotBeRead(t *testing.T) {
	if !testenv.Inside(t, 0) {
		return
	}
	testenv.Refuse(t, unix.EACCES, unix.SYS_OPENAT)
	if err := CheckMapped(User{Name: "root"}); !errors.Is(err, unix.EACCES) || !strings.Contains(err.Error(), "cannot look at the user namespace") {
		t.Error(err)
	}
}
