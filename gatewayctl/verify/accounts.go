// SPDX-License-Identifier: Apache-2.0

package verify

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// account is a line of passwd; group is a line of group. A line that another
// reader could read differently is a problem instead.
type account struct {
	name     string
	uid, gid uint32
}

type group struct {
	name    string
	gid     uint32
	members []string
}

func parsePasswd(data []byte) (all []account, problems []string) {
	for n, f := range fieldsOf(data) {
		var a account
		if len(f) == 7 {
			a.name = f[0]
			if parseID(f[2], &a.uid) && parseID(f[3], &a.gid) && isPlainName(a.name) {
				all = append(all, a)
				continue
			}
		}
		problems = append(problems, fmt.Sprintf("%s:%d", passwdPath, n+1))
	}
	return all, problems
}

func parseGroup(data []byte) (all []group, problems []string) {
	for n, f := range fieldsOf(data) {
		var g group
		if len(f) == 4 {
			g.name = f[0]
			if f[3] != "" {
				g.members = strings.Split(f[3], ",")
			}
			if parseID(f[2], &g.gid) && isPlainName(g.name) && !slices.ContainsFunc(g.members, func(m string) bool { return !isPlainName(m) }) {
				all = append(all, g)
				continue
			}
		}
		problems = append(problems, fmt.Sprintf("%s:%d", groupPath, n+1))
	}
	return all, problems
}

func fieldsOf(data []byte) (lines [][]string) {
	text := strings.TrimSuffix(string(data), "\n")
	for line := range strings.SplitSeq(text, "\n") {
		lines = append(lines, strings.Split(line, ":"))
	}
	return lines
}

// parseID parses a decimal number without sign, space or leading zero, and
// reports whether text is one.
func parseID(text string, to *uint32) bool {
	n, err := strconv.ParseUint(text, 10, 32)
	*to = uint32(n)
	return err == nil && strconv.FormatUint(n, 10) == text
}

func isPlainName(name string) bool {
	return name != "" && name[0] != '#' && name[0] != '+' && name[0] != '-' && !strings.ContainsFunc(name, func(r rune) bool { return r <= ' ' || r >= 0x7f })
}
