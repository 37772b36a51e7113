// SPDX-License-Identifier: Apache-2.0

package verify

import (
	"fmt"
	"slices"
	"strings"
)

// Each user shares files with its primary group, so it must be alone in that group.
func checkGatewayGroup(s *inspection) checkResult  { return s.aloneInGroup(gateway) }
func checkSandboxGroup(s *inspection) checkResult  { return s.aloneInGroup(sandbox) }
func checkOperatorGroup(s *inspection) checkResult { return s.aloneInGroup(operator) }

// roleNames returns the names of the three users in words.
func roleNames() [3]string { return [3]string{"gateway", "sandbox", "operator"} }

// aloneInGroup checks that no other user is a member of a user's primary group.
func (s *inspection) aloneInGroup(role int) checkResult {
	if s.usersErr != nil {
		return resultUnavailable("see users")
	}
	u := s.users[role]
	var others []string
	for _, g := range s.groups {
		if g.gid != u.GID {
			continue
		}
		for _, m := range g.members {
			if m != u.Name {
				others = append(others, m)
			}
		}
	}
	return resultOfFindings(others, "in the "+roleNames()[role]+" group beside "+u.Name, "group %d is %s's alone", u.GID, u.Name)
}

// isPowerfulGroup reports whether name is a group that Linux distributions and engines
// give power over the machine, its logs or its devices.
func isPowerfulGroup(name string) bool {
	return slices.Contains([]string{"root", "wheel", "sudo", "admin", "adm", "docker", "podman", "lxd", "libvirt", "kvm", "disk", "shadow",
		"kmem", "staff", "systemd-journal"}, name)
}

// A user gets the rights of its groups, by /etc/group or by the configuration
// (gateway.groups, sandbox.groups).
func checkGatewayMember(s *inspection) checkResult  { return s.memberOfNone(gateway) }
func checkSandboxMember(s *inspection) checkResult  { return s.memberOfNone(sandbox) }
func checkOperatorMember(s *inspection) checkResult { return s.memberOfNone(operator) }

// memberOfNone checks that a user is in no group of the other two users, and in none
// that is as good as root.
func (s *inspection) memberOfNone(role int) checkResult {
	if s.usersErr != nil {
		return resultUnavailable("see users")
	}
	u := s.users[role]
	var bad []string
	for _, gid := range u.Groups {
		if gid == u.GID {
			continue
		}
		var with []string
		for other, v := range s.users {
			if other != role && slices.Contains(v.Groups, gid) {
				with = append(with, v.Name)
			}
		}
		names := s.groupNames(gid)
		text := fmt.Sprintf("%s (%d)", strings.Join(names, " or "), gid)
		if len(with) > 0 {
			bad = append(bad, text+" with "+strings.Join(with, " and "))
		} else if slices.ContainsFunc(names, isPowerfulGroup) {
			bad = append(bad, text)
		}
	}
	return resultOfFindings(bad, u.Name+" is in", "%s is in no group of others", u.Name)
}

// groupNames returns all names of a group.
func (s *inspection) groupNames(gid uint32) []string {
	var names []string
	for _, g := range s.groups {
		if g.gid == gid {
			names = append(names, g.name)
		}
	}
	if names == nil {
		return []string{"a group without a name"}
	}
	return names
}
