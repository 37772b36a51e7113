// SPDX-License-Identifier: Apache-2.0

package sockets

import (
	"errors"
	"net/netip"
	"os"
	"testing"

	"github.com/gateway-init/gateway-init/internal/testenv"
)

// TestHolds checks that only the process itself counts, and not its descendants. A
// process that cannot be seen is an error.
func TestHolds(t *testing.T) {
	l := testenv.Listen(t, "127.0.0.1:0")
	ls, err := Listeners(netip.MustParseAddrPort(l.Addr().String()).Port())
	testenv.Must(t, err)
	for name, c := range map[string]struct {
		pid  int
		want bool
	}{"holder": {os.Getpid(), true}, "other": {testenv.Shell(t, nil, "exec sleep 100"), false}, "child": {testenv.Shell(t, l, "exec sleep 100"), true}} {
		testenv.Eventually(t, name, func() bool {
			has, err := Holds(c.pid, ls)
			return err == nil && has == c.want
		})
	}
	if has, err := Holds(1<<22, ls); has || err == nil {
		t.Errorf("no process: %v, %v", has, err)
	}
}

// TestTreeHolds checks that a socket that only a descendant has is the tree's. It is
// certainly not the tree's only if the whole tree can be seen.
func TestTreeHolds(t *testing.T) {
	l := testenv.Listen(t, "127.0.0.1:0")
	ls, err := Listeners(netip.MustParseAddrPort(l.Addr().String()).Port())
	testenv.Must(t, err)
	for name, c := range map[string]struct {
		pid  int
		want bool
	}{
		"itself":     {os.Getpid(), true},
		"below":      {testenv.Shell(t, l, "sh -c 'exec sleep 100; true' & exec 3>&-; wait"), true},
		"not-at-all": {testenv.Shell(t, nil, "exec sleep 100"), false},
	} {
		testenv.Eventually(t, name, func() bool {
			held, err := IsHeld(ls[0].Inode, c.pid)
			testenv.Must(t, err)
			unheld, err := ListUnheld(ls, c.pid)
			testenv.Must(t, err)
			return held == c.want && (len(unheld) == 0) == c.want
		})
	}
	if held, err := IsHeld(ls[0].Inode, 1<<22); held || !errors.Is(err, ErrUnproven) {
		t.Errorf("no process: %v, %v", held, err)
	}
	if unheld, err := ListUnheld(ls, 1<<22); unheld != nil || !errors.Is(err, ErrUnproven) {
		t.Errorf("no process: %v, %v", unheld, err)
	}
	if unheld, err := ListUnheld(nil, 1<<22); unheld != nil || err != nil { // no process is looked at
		t.Errorf("of nothing: %v, %v", unheld, err)
	}
}
