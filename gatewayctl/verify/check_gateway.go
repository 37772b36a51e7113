// SPDX-License-Identifier: Apache-2.0

package verify

import (
	"io/fs"
	"strings"

	"github.com/gateway-init/gateway-init/internal/config"
	"github.com/gateway-init/gateway-init/internal/environ"
	"github.com/gateway-init/gateway-init/internal/fsafe"
	"github.com/gateway-init/gateway-init/internal/nodeflags"
	"github.com/gateway-init/gateway-init/internal/users"
)

// gatewayProgram is the program that the gateway's command runs in the end, such
// as the interpreter of a "#!" line or the program that env(1) finds.
type gatewayProgram struct {
	nodeflags.Program
	node *node
	path string // links followed
}

// gatewayProgram finds the program. For the names in gateway.pass_env it takes
// the image's own values; the configuration takes no NODE_OPTIONS there.
func (s *inspection) gatewayProgram() (p gatewayProgram, err error) {
	g := s.config.Gateway
	var container environ.List
	if !s.noConfig() {
		container = environ.Clean(s.image.config.Config.Env)
	}
	var u users.User
	if s.usersErr == nil {
		u = s.users[gateway]
	}
	p.Program, err = nodeflags.Resolve(g.Command, environ.Built(u, g.Env, g.PassEnv, container, g.TokenEnv), s.executable)
	if err != nil {
		return p, err
	}
	p.node, err = s.tree.follow(p.Argv[0], func(at string, _ *node) error { p.path = at; return nil })
	return p, err
}

// executable returns the first bytes of an executable file, or none if it is not
// a script.
func (s *inspection) executable(unsafePath string) ([]byte, error) {
	n, err := s.tree.follow(unsafePath, func(string, *node) error { return nil })
	if err != nil {
		return nil, err
	}
	if n.kind != fsafe.Regular || n.mode&0o111 == 0 {
		return nil, fs.ErrPermission
	}
	return n.head, nil
}

// checkEnvironReadable checks whether the gateway's user can read its program.
// If it can, the kernel does not close /proc/PID/environ to that user. Many
// gateways are interpreters that others need to read, so this is not a failure.
func checkEnvironReadable(s *inspection) checkResult {
	switch {
	case s.options.NonRoot:
		return resultNotApplicable("without root the agent is the gateway's user")
	case s.config == nil:
		return resultUnavailable("see config")
	case s.usersErr != nil:
		return resultUnavailable("see users")
	}
	p, err := s.gatewayProgram()
	switch {
	case err != nil:
		return resultUnavailable("%v", err)
	case p.node.lets(s.users[gateway], 4):
		return resultNote("%s can be read by the gateway's user (mode %04o): so can /proc/PID/environ of the gateway, with the token: chown root and chmod 0711 it", p.path, p.node.mode)
	}
	return resultHeld("%s cannot be read by the gateway's user", p.path)
}

// checkOpenInChildren checks whether the gateway is confined. Some gateways cannot be, so
// this is not a failure. Whether the kernel can confine it, only boot finds out.
func checkOpenInChildren(s *inspection) checkResult {
	switch {
	case s.options.NonRoot:
		return resultNotApplicable("without root the agent is the gateway's user")
	case s.config == nil:
		return resultUnavailable("see config")
	case s.config.Gateway.Confine != config.ConfineProc:
		return resultNote(`a child of the gateway inherits its environment, and mostly has a program that its user can read: set gateway.confine to "proc"`)
	}
	return resultHeld("gateway.confine is proc: on a kernel with Landlock the gateway's user cannot open /proc/PID/environ of its children")
}

// checkNotReadable checks that every user can read the gateway's program.
// Without root a proof needs the gateway's descriptors, which the kernel hides
// if the program cannot be read. The user is not known at build.
func checkNotReadable(s *inspection) checkResult {
	switch {
	case !s.options.NonRoot:
		return resultNotApplicable("only for containers without root: --non-root")
	case s.config == nil:
		return resultUnavailable("see config")
	}
	p, err := s.gatewayProgram()
	switch {
	case err != nil:
		return resultUnavailable("%v", err)
	case p.node.mode&0o004 == 0:
		return resultFailed("%s has mode %04o: without root a gateway whose program cannot be read cannot be proven: chmod 0755 it", p.path, p.node.mode)
	}
	return resultHeld("%s, mode %04o", p.path, p.node.mode)
}

// checkNodeDebugger checks that Node does not open a debugger on SIGUSR1.
// Otherwise every user could connect to it and read the token with it.
func checkNodeDebugger(s *inspection) checkResult {
	if s.config == nil {
		return resultUnavailable("see config")
	}
	p, err := s.gatewayProgram()
	switch {
	case err != nil:
		return resultUnavailable("%v", err)
	case !nodeflags.IsNode(p.Argv[0]) && !nodeflags.IsNode(p.path):
		return resultHeld("%s is not Node", p.path)
	}
	problems := nodeflags.Problems(p.Argv, p.Options)
	if len(problems) > 0 {
		return resultFailed("%s", strings.Join(problems, "; "))
	}
	return resultHeld("%s, and SIGUSR1 opens no debugger", p.path)
}
