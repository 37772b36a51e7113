package verify

import (
	"context"
	"strings"
)

// trial is a program of the image that was run, or why not.
type trial struct {
	ended
	refused bool
	err     error
}

// trials are all that are ever run, each once: they only print a version.
type trials struct {
	not                  *verdict // nothing was run
	init, ctl            trial    // as root
	sandboxInit, sandbox trial    // as the sandbox user: gateway-init, gatewayctl
	noSandbox            bool     // there is no such user
}

func (s *subject) try(ctx context.Context, src Source) {
	r, why := src.runner(s.image)
	if r == nil {
		s.trials.not = &why
		return
	}
	run := func(uid, gid uint32, argv ...string) (t trial) {
		t.ended, t.refused, t.err = r.run(ctx, uid, gid, argv...)
		return t
	}
	s.trials.init = run(0, 0, initPath, "--version")
	s.trials.ctl = run(0, 0, ctlPath, "version")
	if s.trials.noSandbox = s.usersErr != nil; !s.trials.noSandbox {
		u := s.people[sandbox]
		s.trials.sandboxInit = run(u.UID, u.GID, initPath, "--version")
		s.trials.sandbox = run(u.UID, u.GID, ctlPath, "version")
	}
}

// version is what the first line says after the program's name; "" if the run was
// no success.
func (t trial) version(name string) string {
	line, _, _ := strings.Cut(t.out, "\n")
	v, ok := strings.CutPrefix(line, name+" ")
	if t.err != nil || t.refused || t.code != 0 || !ok {
		return ""
	}
	return v
}

// checkRelease: the two programs know each other's formats only if they are of
// one release.
func checkRelease(s *subject) verdict {
	if s.trials.not != nil {
		return *s.trials.not
	}
	ours, ctl := s.trials.init.version("gateway-init"), s.trials.ctl.version("gatewayctl")
	switch {
	case s.trials.init.err != nil:
		return unavailable("%v", s.trials.init.err)
	case ours == "":
		return failed("gateway-init --version as root: %s", s.trials.init.complaint())
	case ctl == "":
		return unavailable("see probe-root")
	case ours != ctl:
		return failed("gateway-init is %.80s, gatewayctl is %.80s: copy both from one release", ours, ctl)
	}
	return held("both are %.80s", ours)
}

func checkProbeRoot(s *subject) verdict {
	if s.trials.not != nil {
		return *s.trials.not
	}
	switch t := s.trials.ctl; {
	case t.err != nil:
		return unavailable("%v", t.err)
	case t.version("gatewayctl") == "":
		return failed("gatewayctl version as root: %s", t.complaint())
	}
	return held("root can execute gatewayctl")
}

// checkProbeSandbox: that the same user may execute gateway-init shows that it is
// gatewayctl's mode that refuses, not a directory on the way or the trial itself.
func checkProbeSandbox(s *subject) verdict {
	switch t := s.trials; {
	case s.options.NonRoot:
		return beyond("in an image for containers without root everybody may execute gatewayctl")
	case t.not != nil:
		return *t.not
	case t.noSandbox:
		return unavailable("there is no sandbox user: see users")
	case t.sandboxInit.version("gateway-init") == "":
		return unavailable("gateway-init --version as the sandbox user: %s: so a refusal of gatewayctl would say nothing", t.sandboxInit.complaint())
	case t.sandbox.err != nil:
		return unavailable("%v", t.sandbox.err)
	case !t.sandbox.refused:
		return failed("the sandbox user can execute gatewayctl (exit code %d): chmod 0700 it", t.sandbox.code)
	}
	return held("the kernel refuses gatewayctl to the sandbox user")
}

// complaint is why a run was no success.
func (t trial) complaint() string {
	switch {
	case t.err != nil:
		return t.err.Error()
	case t.refused:
		return "permission denied"
	}
	said := firstLine(t.errOut)
	if said == "" {
		said = firstLine(t.out)
	}
	return "exit code " + itoa(t.code) + ": " + said
}
