// SPDX-License-Identifier: Apache-2.0

package users

import (
	"errors"
	"fmt"
	"io/fs"
	"strconv"
	"strings"

	"github.com/gateway-init/gateway-init/internal/sys"
)

// CheckMapped returns an error if a child of this process could not become one of who,
// because the user namespace does not map its ids, or forbids setgroups(2)
// (user_namespaces(7)). An engine without root often maps a small range of ids only.
func CheckMapped(who ...User) error {
	var texts [3]string
	for i, name := range []string{"uid_map", "gid_map", "setgroups"} {
		text, err := sys.ReadFile("/proc/self/" + name)
		if errors.Is(err, fs.ErrNotExist) { // the kernel has no user namespaces
			return nil
		}
		if err != nil {
			return fmt.Errorf("cannot look at the user namespace: %w", err)
		}
		texts[i] = string(text)
	}
	return checkMapped(texts[0], texts[1], texts[2], who)
}

// moreIDs is how to get them.
const moreIDs = "give the container 65536 ids (podman, docker without root: a line in /etc/subuid and in /etc/subgid of the host, then podman system migrate), or use lower ids in the image"

// checkMapped is CheckMapped with the content of the three files.
func checkMapped(uids, gids, setgroups string, who []User) error {
	for _, u := range who {
		if !hasID(uids, u.UID) {
			return fmt.Errorf("cannot use user %.64q: the user namespace has no uid %d: %s", u.Name, u.UID, moreIDs)
		}
		for _, gid := range append([]uint32{u.GID}, u.Groups...) {
			if !hasID(gids, gid) {
				return fmt.Errorf("cannot use user %.64q: the user namespace has no gid %d: %s", u.Name, gid, moreIDs)
			}
		}
		if strings.TrimSpace(setgroups) == "deny" {
			return fmt.Errorf("cannot use user %.64q: the user namespace forbids setgroups(2): %s", u.Name, moreIDs)
		}
	}
	return nil
}

// hasID reports whether a map has the id. Its lines are the first id inside, the first
// outside, and their number.
func hasID(table string, id uint32) bool {
	for line := range strings.Lines(table) {
		f := strings.Fields(line)
		if len(f) != 3 {
			continue
		}
		first, err := strconv.ParseUint(f[0], 10, 64)
		count, err2 := strconv.ParseUint(f[2], 10, 64)
		if err == nil && err2 == nil && uint64(id) >= first && uint64(id)-first < count {
			return true
		}
	}
	return false
}
