// SPDX-License-Identifier: Apache-2.0

package verify

import (
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/gateway-init/gateway-init/internal/fsafe"
)

// findings returns the paths of all nodes for which match is true, with the
// mode.
func (s *inspection) findings(match func(at string, n *node) bool) (found []string) {
	s.tree.walk(func(at string, n *node) {
		if match(at, n) {
			found = append(found, fmt.Sprintf("%s (%04o)", at, n.mode))
		}
	})
	return found
}

// checkSetID looks for setuid and setgid files. no_new_privs disables these bits
// where it is set, and docker exec may not set it. On a directory the bit only
// says which group new files have.
func checkSetID(s *inspection) checkResult {
	found := s.findings(func(_ string, n *node) bool { return n.kind == fsafe.Regular && n.mode&0o6000 != 0 })
	return resultOfFindings(found, "setuid or setgid: chmod ug-s", "no setuid or setgid file")
}

func checkCapabilities(s *inspection) checkResult {
	found := s.findings(func(_ string, n *node) bool { return n.capable })
	return resultOfFindings(found, "has file capabilities: setcap -r", "no file has capabilities")
}

// checkWorldWritable looks for files and directories that every user can change.
// In a sticky directory only owners can. The engine mounts its own /dev over the
// image's.
func checkWorldWritable(s *inspection) checkResult {
	found := s.findings(func(at string, n *node) bool {
		return n.kind != link && n.mode&0o002 != 0 && (n.kind != fsafe.Directory || n.mode&0o1000 == 0) &&
			(n.kind != character || !strings.HasPrefix(at, "/dev/"))
	})
	return resultOfFindings(found, "writable by everybody: chmod o-w, or +t", "nothing is writable by everybody")
}

// checkCompilers looks for the tools of a build, because an agent can use them
// too.
func checkCompilers(s *inspection) checkResult {
	dirs := []string{"/bin", "/sbin", "/usr/bin", "/usr/sbin", "/usr/local/bin", "/usr/local/sbin"}
	found := s.findings(func(at string, n *node) bool {
		return n.kind != fsafe.Directory && slices.Contains(dirs, path.Dir(at)) && isCompiler(path.Base(at))
	})
	return resultOfFindings(found, "tools of a build", "no compiler, assembler, linker or make")
}

// isCompiler reports whether name is a tool of a build, also in forms like
// gcc-12 and x86_64-linux-gnu-gcc-12.
func isCompiler(name string) bool {
	if i := strings.Index(name, "-linux-gnu-"); i >= 0 {
		name = name[i+len("-linux-gnu-"):]
	}
	if i := strings.LastIndexByte(name, '-'); i >= 0 && strings.Trim(name[i+1:], "0123456789.") == "" {
		name = name[:i]
	}
	return slices.Contains([]string{"cc", "c++", "gcc", "g++", "clang", "clang++", "ld", "as", "make", "tcc"}, name)
}
