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
