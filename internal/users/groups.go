// SPDX-License-Identifier: Apache-2.0

package users

import (
	"bytes"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/moby/sys/user"
)

// EngineGroups returns the supplementary groups of this process that the engine added
// (--group-add, supplementalGroups, fsGroup). These are the groups that it would not have
// by /etc/group: the image gives some to root, and every engine hands those on.
func (db *Database) EngineGroups() (added []uint32) {
	own, err := os.Getgroups()
	if err != nil {
		return nil // getgroups(2) cannot fail for a process that may ask
	}
	inImage, _ := user.ParseGroupFilter(bytes.NewReader(db.group), func(g user.Group) bool { return slices.Contains(g.List, "root") })
	for _, gid := range own {
		if gid != os.Getgid() && !slices.ContainsFunc(inImage, func(g user.Group) bool { return g.Gid == gid }) {
			added = append(added, uint32(gid))
		}
	}
	return added
}

// Lost returns the groups that none of who has, as text, or "".
func Lost(groups []uint32, who ...User) string {
	var lost []string
	for _, gid := range groups {
		if !slices.ContainsFunc(who, func(u User) bool { return slices.Contains(u.Groups, gid) }) {
			lost = append(lost, fmt.Sprint(gid))
		}
	}
	return strings.Join(lost, " ")
}

// insert keeps groups in order and once each. A full sort is 5 KiB of code for 64
// numbers, and slices.Insert is one.
func insert(groups []uint32, gid uint32) []uint32 {
	i, have := slices.BinarySearch(groups, gid)
	if have {
		return groups
	}
	groups = append(groups, gid)
	copy(groups[i+1:], groups[i:])
	groups[i] = gid
	return groups
}

// With returns u with more supplementary groups, which the configuration gives.
func (u User) With(groups []int) User {
	u.Groups = slices.Clone(u.Groups)
	for _, gid := range groups {
		u.Groups = insert(u.Groups, uint32(gid))
	}
	return u
}
