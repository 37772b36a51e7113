// SPDX-License-Identifier: Apache-2.0

package config

import (
	"strings"

	"github.com/gateway-init/gateway-init/internal/nearest"
)

// unknownKey returns the problem of a key that t, the object at path, does not have. It
// names the key that may be meant, or else the keys of the object. A word that is a key of
// another object is more often in the wrong object than misspelled.
func (d *decoder) unknownKey(path, name string, t table) string {
	var own []string
	for _, k := range t {
		own = append(own, k.name)
	}
	best, edits, ok := nearest.Word(name, own)
	best = join(path, best)
	for _, other := range d.c.table().paths("") {
		last := other[strings.LastIndexByte(other, '.')+1:]
		if _, n, near := nearest.Word(name, []string{last}); near && (!ok || n < edits) {
			best, edits, ok = other, n, true
		}
	}
	if ok {
		return "unknown key: did you mean " + best + "?"
	}
	return "unknown key (accepted: " + strings.Join(own, ", ") + ")"
}

// paths returns the path of each key of t and of the objects in it. Those of the items of
// a list are not among them.
func (t table) paths(path string) (all []string) {
	for _, k := range t {
		at := join(path, k.name)
		all = append(all, at)
		switch f := k.field.(type) {
		case table:
			all = append(all, f.paths(at)...)
		case *authCheck:
			all = append(all, new(AuthCheck).table().paths(at)...)
		case *publish:
			all = append(all, new(Publish).table().paths(at)...)
		}
	}
	return all
}
