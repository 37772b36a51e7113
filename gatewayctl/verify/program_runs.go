// SPDX-License-Identifier: Apache-2.0

package verify

import (
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/gateway-init/gateway-init/internal/users"
)

// outcome is the result of running a program of the image, or the reason why it
// was not run.
type outcome struct {
	exitResult
	refused bool         // EACCES: that user may not execute it
	err     error        // the program could not be run
	not     *checkResult // set if nothing was tried
}

func outcomeNotRun(v checkResult) outcome { return outcome{not: &v} }

// programRuns holds the results of all programs that are ever run. They print a
// version.
type programRuns struct {
	init, ctl  outcome
	sandboxCtl *outcome // gatewayctl as the sandbox user, like init then; if nil, the modes decide
}

// version returns the text after the program's name in the first line, or "" if
// the run was no success.
func (o outcome) version(name string) string {
	line, _, _ := strings.Cut(o.out, "\n")
	v, ok := strings.CutPrefix(line, name+" ")
	if o.not != nil || o.err != nil || o.refused || o.code != 0 || !ok {
		return ""
	}
	return v
}

// checkRelease checks that the two programs are of one release, because only
// then they know each other's formats.
func checkRelease(s *inspection) checkResult {
	init, ctl := s.runs.init, s.runs.ctl
	switch {
	case init.not != nil:
		return *init.not
	case init.err != nil:
		return resultUnavailable("%v", init.err)
	case init.version("gateway-init") == "":
		return resultFailed("gateway-init --version: %s", init.complaint())
	case ctl.not != nil:
		return *ctl.not
	case ctl.version("gatewayctl") == "":
		return resultUnavailable("see probe-root")
	}
	a, b := init.version("gateway-init"), ctl.version("gatewayctl")
	if a != b {
		return resultFailed("gateway-init is %.80s, gatewayctl is %.80s: copy both from one release", a, b)
	}
	return resultHeld("both are %.80s", a)
}

// checkProbeRoot checks that gatewayctl runs and that root can execute it. A
// program that was run from a copy says nothing about its mode, so the mode is
// checked too.
func checkProbeRoot(s *inspection) checkResult {
	switch o := s.runs.ctl; {
	case o.not != nil:
		return *o.not
	case o.err != nil:
		return resultUnavailable("%v", o.err)
	case o.version("gatewayctl") == "":
		return resultFailed("gatewayctl version: %s", o.complaint())
	}
	if n := s.tree.at(ctlPath); n == nil || n.mode&0o111 == 0 {
		return resultFailed("root may not execute gatewayctl: see ctl")
	}
	return resultHeld("gatewayctl runs, and root can execute it")
}

// checkProbeSandbox checks that the sandbox user cannot execute gatewayctl. The
// same user must be able to execute gateway-init. That shows that gatewayctl's mode
// refuses, not a directory on the way or the confinement.
func checkProbeSandbox(s *inspection) checkResult {
	switch {
	case s.options.NonRoot:
		return resultNotApplicable("in an image for containers without root everybody may execute gatewayctl")
	case s.usersErr != nil:
		return resultUnavailable("there is no sandbox user: see users")
	case s.runs.sandboxCtl == nil:
		return s.sandboxByMode()
	}
	init, ctl := s.runs.init, s.runs.sandboxCtl
	switch {
	case init.version("gateway-init") == "":
		return resultUnavailable("gateway-init --version as the sandbox user: %s: so a refusal of gatewayctl would say nothing", init.complaint())
	case ctl.err != nil:
		return resultUnavailable("%v", ctl.err)
	case !ctl.refused:
		return resultFailed("the sandbox user can execute gatewayctl (exit code %d): chmod 0700 it", ctl.code)
	}
	return resultHeld("the kernel refuses gatewayctl to the sandbox user")
}

// sandboxByMode decides from owners and modes whether the kernel would refuse.
func (s *inspection) sandboxByMode() checkResult {
	u := s.users[sandbox]
	if err := s.mayExecute(initPath, u); err != nil {
		return resultUnavailable("the sandbox user cannot execute gateway-init: %v: so a refusal of gatewayctl would say nothing", err)
	}
	n := s.tree.at(ctlPath)
	switch {
	case n == nil:
		return resultUnavailable("see ctl")
	case n.lets(u, 1):
		return resultFailed("the sandbox user can execute gatewayctl (mode %04o of %d:%d): chown 0:0 and chmod 0700 it", n.mode, n.uid, n.gid)
	}
	return resultHeld("by owner and mode the sandbox user cannot execute gatewayctl")
}

// mayExecute returns an error if a user without capabilities cannot execute the
// file at a path.
func (s *inspection) mayExecute(unsafePath string, u users.User) error {
	n, err := s.tree.follow(path.Dir(unsafePath), func(at string, n *node) error {
		if n.kind != link && !n.lets(u, 1) {
			return fmt.Errorf("%s has mode %04o of %d:%d", at, n.mode, n.uid, n.gid)
		}
		return nil
	})
	if err != nil {
		return err
	}
	if n = n.below[path.Base(unsafePath)]; n == nil {
		return errors.New("it is missing")
	}
	if !n.lets(u, 1) {
		return fmt.Errorf("%s has mode %04o of %d:%d", unsafePath, n.mode, n.uid, n.gid)
	}
	return nil
}

// lets reports whether the mode gives a user a right (4 read, 2 write, 1 execute
// or enter), as the kernel decides it for a process without capabilities.
func (n *node) lets(u users.User, right uint32) bool {
	switch {
	case n.uid == u.UID:
		return n.mode>>6&right == right
	case n.gid == u.GID || slices.Contains(u.Groups, n.gid):
		return n.mode>>3&right == right
	}
	return n.mode&right == right
}

// complaint returns why a run was no success.
func (o outcome) complaint() string {
	switch {
	case o.not != nil:
		return o.not.detail
	case o.err != nil:
		return o.err.Error()
	case o.refused:
		return "permission denied"
	}
	said := firstLine(o.errOut)
	if said == "" {
		said = firstLine(o.out)
	}
	return "exit code " + formatInt(o.code) + ": " + said
}
