// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"slices"
	"testing"
)

func TestPeerThatIsNotAvailable(t *testing.T) {
	b := &bench{missing: map[string]bool{"gosu": true, "dumb-init": true, beforeDir: true}}
	var names []string
	all, _ := b.available()
	for _, p := range all {
		names = append(names, p.name)
	}
	if want := []string{noInit, ours, tini, "catatonit", "s6-svscan", "gateway-init --user"}; !slices.Equal(names, want) {
		t.Errorf("%q, want %q", names, want)
	}
	for name, test := range map[string]struct {
		onlyInits bool
		want      [][]string
	}{
		"inits": {true, [][]string{{"dumb-init (no package dumb-init)", none}}},
		"all":   {false, [][]string{{"dumb-init (no package dumb-init)", none}, {"gosu (no init) (no package gosu)", none}, {"tini + gosu (no package gosu)", none}}},
	} {
		table := &table{head: []string{"init", "ms"}}
		b.skipPeers(table, test.onlyInits)
		if !slices.EqualFunc(table.rows, test.want, slices.Equal) {
			t.Errorf("%s: %q", name, table.rows)
		}
	}
}

// contender is a name.
type contender string

func (c contender) String() string { return string(c) }

func TestTurns(t *testing.T) {
	b := &bench{Context: t.Context()}
	order := ""
	err := turns(b, []contender{"A", "B", "C"}, 3, func(c contender) error {
		order += c.String()
		return nil
	})
	if err != nil || order != "ABCBCACAB" {
		t.Errorf("%s, %v", order, err)
	}
	broken := errors.New("broken")
	if err := turns(b, []contender{"A"}, 3, func(contender) error { return broken }); !errors.Is(err, broken) || err.Error() != "A: broken" {
		t.Errorf("%v", err)
	}
}
