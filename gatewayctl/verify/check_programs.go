// SPDX-License-Identifier: Apache-2.0

package verify

import (
	"fmt"
	"path"
	"strings"

	"github.com/gateway-init/gateway-init/internal/fsafe"
)

// checkPrograms checks the programs that are started with the token, because a
// user that can change one of them has the token. The agent's own sidecars are
// left out.
func checkPrograms(s *inspection) checkResult {
	if s.config == nil {
		return resultUnavailable("see config")
	}
	command := s.config.Gateway.Command
	programs := []string{command[0]}
	if s.profile.script {
		if len(command) < 2 {
			return resultFailed("gateway.command has no script")
		}
		programs = append(programs, command[1])
	}
	for _, c := range s.config.Sidecars {
		if c.User != s.config.SandboxUser {
			programs = append(programs, c.Command[0])
		}
	}
	for i, p := range programs {
		n, err := s.trusted(p)
		if err != nil {
			return resultFailed("on the way to %s: %v", p, err)
		}
		if script := s.profile.script && i == 1; !script && n.mode&0o111 == 0 {
			return resultFailed("%s is not executable: chmod a+x it", p)
		}
	}
	return resultHeld("%s", joinFew(programs))
}

// checkExecuteOnly checks that the gateway's program is execute-only. If a
// process may not read its own program, its /proc/PID/environ, mem and ptrace
// are closed to its own uid too (proc(5), PR_SET_DUMPABLE).
func checkExecuteOnly(s *inspection) checkResult {
	if s.config == nil {
		return resultUnavailable("see config")
	}
	if s.options.NonRoot {
		return resultNotApplicable("without root an execute-only gateway cannot be proven: see gateway-not-readable")
	}
	program := s.config.Gateway.Command[0]
	n, err := s.tree.follow(program, func(string, *node) error { return nil })
	switch {
	case err != nil:
		return resultFailed("%v", err)
	case n.kind != fsafe.Regular || n.uid != 0 || n.gid != 0:
		return resultFailed("%s is %v of %d:%d, not a regular file of root", program, n.kind, n.uid, n.gid)
	case n.mode != 0o711:
		return resultFailed("%s has mode %04o, not 0711: with 0755 the gateway's own uid reads its environment", program, n.mode)
	}
	return resultHeld("%s, mode 0711", program)
}

// codeOf returns the directory of everything that a script may load. That is its
// own directory, or the outermost node_modules, where npm puts the script's
// dependencies beside it.
func codeOf(script string) string {
	dir := path.Dir(script)
	if before, _, ok := strings.Cut(dir+"/", "/node_modules/"); ok {
		return before + "/node_modules"
	}
	return dir
}

// checkGatewayCode checks the files beside the script, because an interpreter
// loads them.
func checkGatewayCode(s *inspection) checkResult {
	if s.config == nil || len(s.config.Gateway.Command) < 2 {
		return resultUnavailable("see config and programs")
	}
	script := s.config.Gateway.Command[1]
	dir := codeOf(script)
	top := s.tree.at(dir)
	if top == nil || top.kind != fsafe.Directory {
		return resultFailed("%s is no directory: name the script without links", dir)
	}
	var bad []string
	walk(dir, top, func(at string, n *node) {
		if n.uid != 0 || n.writable() {
			bad = append(bad, fmt.Sprintf("%s (mode %04o, uid %d)", at, n.mode, n.uid))
		}
	})
	return resultOfFindings(bad, "others than root can change", "only root can change what is in %s", dir)
}
