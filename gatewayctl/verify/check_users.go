// SPDX-License-Identifier: Apache-2.0

package verify

import (
	"slices"

	"github.com/gateway-init/gateway-init/internal/fsafe"
	"github.com/gateway-init/gateway-init/internal/users"
)

// checkUsers checks that the three accounts are kept apart by the kernel, and
// that each has a primary group of its own.
func checkUsers(s *inspection) checkResult {
	if s.usersErr != nil {
		return resultFailed("%v", s.usersErr)
	}
	p := s.users
	if err := users.Distinct(p[gateway], p[sandbox], p[operator]); err != nil {
		return resultFailed("%v", err)
	}
	for i, u := range p {
		for _, a := range s.accounts {
			if a.gid == u.GID && a.uid != u.UID {
				return resultFailed("%s and %s have the primary group %d: give each its own", u.Name, a.name, u.GID)
			}
			if a.uid == u.UID && a.name != u.Name {
				return resultFailed("%s and %s are both uid %d: remove one", u.Name, a.name, u.UID)
			}
		}
		if j := slices.IndexFunc(p[i+1:], func(o users.User) bool { return o.GID == u.GID }); j >= 0 {
			return resultFailed("%s and %s have the primary group %d: give each its own", u.Name, p[i+1+j].Name, u.GID)
		}
	}
	return resultHeld("%s %d, %s %d, %s %d", p[0].Name, p[0].UID, p[1].Name, p[1].UID, p[2].Name, p[2].UID)
}

// checkAccounts checks that uid 0 has one name, because another name for it is
// another root. A line that two programs read differently may be one, too.
func checkAccounts(s *inspection) checkResult {
	if s.filesErr != nil {
		return resultFailed("%v", s.filesErr)
	}
	if len(s.problems) > 0 {
		return resultFailed("two programs could read differently: %s", joinFew(s.problems))
	}
	var roots []string
	for _, a := range s.accounts {
		if a.uid == 0 {
			roots = append(roots, a.name)
		}
	}
	if len(roots) != 1 {
		return resultFailed("uid 0 has %d accounts (%s): leave one", len(roots), joinFew(roots))
	}
	return resultHeld("%d accounts, uid 0 is %s alone", len(s.accounts), roots[0])
}

// checkHomes checks owner and mode of the homes. Control of the gateway's state
// is control of the gateway, and the operator's home has the credentials of its
// clients.
func checkHomes(s *inspection) checkResult {
	if s.usersErr != nil {
		return resultUnavailable("see users")
	}
	for i, u := range s.users {
		n := s.tree.at(u.Home)
		switch {
		case n == nil:
			return resultFailed("%s, the home of %s, is missing", u.Home, u.Name)
		case n.kind != fsafe.Directory:
			return resultFailed("%s, the home of %s, is %v", u.Home, u.Name, n.kind)
		case n.uid != u.UID || n.gid != u.GID:
			return resultFailed("%s is owned by %d:%d: chown %d:%d it", u.Home, n.uid, n.gid, u.UID, u.GID)
		case i != sandbox && n.mode != 0o700:
			return resultFailed("%s, the home of %s, has mode %04o: chmod 0700 it", u.Home, u.Name, n.mode)
		}
	}
	return resultHeld("%s, %s, %s", s.users[0].Home, s.users[1].Home, s.users[2].Home)
}
