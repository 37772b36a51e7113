// SPDX-License-Identifier: Apache-2.0

package users

import (
	"fmt"
	"slices"
)

// roleKeys are the keys of the configuration that name the three accounts.
var roleKeys = [...]string{"gateway.user", "sandbox.user", "operator.user"}

// Overflow is the uid that the kernel shows for a user of another user namespace, unless
// kernel.overflowuid was changed.
const Overflow = 65534

// Separate resolves the three accounts of a configuration, which must be
// Distinct.
func (db *Database) Separate(gateway, sandbox, operator string) (g, s, o User, err error) {
	for i, r := range []struct {
		to   *User
		spec string
	}{{&g, gateway}, {&s, sandbox}, {&o, operator}} {
		if *r.to, err = db.ResolveKey(roleKeys[i], r.spec); err != nil {
			return g, s, o, err
		}
	}
	return g, s, o, Distinct(g, s, o)
}

// Distinct refuses accounts that the kernel would not keep apart. Such accounts have
// the same uid, or are in the gateway's primary group. That group can use the files
// that the gateway shares with it.
func Distinct(gateway, sandbox, operator User) error {
	if gateway.UID == Overflow {
		return fmt.Errorf("cannot use user %.64q of %s: the kernel shows uid %d for each user that it cannot map, and such a user's socket would count as the gateway's: give it another uid",
			gateway.Name, roleKeys[0], Overflow)
	}
	all := [...]User{gateway, sandbox, operator}
	for _, p := range [][2]int{{0, 1}, {0, 2}, {1, 2}} {
		if a, b := all[p[0]], all[p[1]]; a.UID == b.UID {
			return fmt.Errorf("cannot separate users %.64q and %.64q: both are uid %d: give each its own in %s, or name another in %s or %s",
				a.Name, b.Name, a.UID, passwdPath, roleKeys[p[0]], roleKeys[p[1]])
		}
	}
	for _, u := range []User{sandbox, operator} {
		if u.GID == gateway.GID || slices.Contains(u.Groups, gateway.GID) {
			return fmt.Errorf("cannot separate users %.64q and %.64q: %.64q is in the gateway's primary group %d: take it out in %s and %s",
				gateway.Name, u.Name, u.Name, gateway.GID, groupPath, passwdPath)
		}
	}
	return nil
}
