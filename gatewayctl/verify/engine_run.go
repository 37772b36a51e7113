// SPDX-License-Identifier: Apache-2.0

package verify

import (
	"context"
	"errors"
	"fmt"
	"path"
	"strings"
	"time"

	"github.com/gateway-init/gateway-init/internal/sys"
)

// Exit codes of docker run (docker-run(1)) for the daemon's own failure and for
// the errors of execve(2) of the program.
const (
	engineFailed  = 125
	cannotExecute = 126
	cannotFind    = 127
)

// try runs the programs whose hashes were given and hold, each in a container as
// the sandbox user. None is run as root. So gatewayctl, which only root may
// execute, says its version only in an image for containers without root.
func (s *engineSource) try(ctx context.Context, sub *inspection) (t programRuns) {
	uid, gid := uint32(nobodyID), uint32(nobodyID)
	if sub.usersErr == nil {
		uid, gid = sub.users[sandbox].UID, sub.users[sandbox].GID
	}
	known := func(at string) *checkResult {
		v := checkResult{}
		switch n, want := sub.tree.at(at), sub.options.Sums[path.Base(at)]; {
		case want == "":
			v = resultWithoutHash(path.Base(at))
		case n == nil || n.sum != want:
			v = resultUnavailable("see hashes")
		default:
			return nil
		}
		return &v
	}
	if t.init.not = known(initPath); t.init.not == nil {
		t.init = s.contained(ctx, uid, gid, initPath, "--version")
	}
	if t.ctl.not = known(ctlPath); t.ctl.not != nil {
		return t
	}
	o := s.contained(ctx, uid, gid, ctlPath, "version")
	if t.init.not == nil && sub.usersErr == nil {
		t.sandboxCtl = &o
	}
	if t.ctl = o; !sub.options.NonRoot {
		t.ctl = outcomeNotRun(resultNotApplicable("only root may execute gatewayctl, and no program of an image is run as root: --root DIR runs it from a directory"))
	}
	return t
}

// contained runs one container without network, without a right, and with limits. It
// removes the container by name on every way out, because the end of docker run
// alone leaves the container running. No image is fetched and no log is kept.
func (s *engineSource) contained(ctx context.Context, uid, gid uint32, argv ...string) (o outcome) {
	var random [8]byte
	if err := ctx.Err(); err != nil {
		return outcome{err: err}
	}
	if err := sys.Random(random[:]); err != nil {
		return outcome{err: fmt.Errorf("cannot name a container: %w", err)}
	}
	name := fmt.Sprintf("gateway-init-verify-%x", random)
	args := []string{
		"run", "--rm", "--name", name, "--pull", "never", "--log-driver", "none", "--no-healthcheck", "--network", "none", "--read-only", "--cap-drop", "ALL",
		"--security-opt", "no-new-privileges", "--pids-limit", "64", "--memory", "256m", "--user", fmt.Sprintf("%d:%d", uid, gid), "--entrypoint", argv[0], s.id,
	}
	limit := s.engine.times.container
	within, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	defer func() { s.remove(name, within.Err() != nil) }()
	o.exitResult, o.err = s.engine.command(append(args, argv[1:]...)...).run(within)
	switch {
	case ctx.Err() != nil:
		o.err = ctx.Err()
	case errors.Is(o.err, context.DeadlineExceeded):
		o.err = fmt.Errorf("%s did not end in its container within %v: the container was removed", path.Base(argv[0]), limit)
	case o.err == nil && o.code == engineFailed:
		o.err = errors.New(firstLine(o.errOut))
		fallthrough
	case o.err != nil:
		o.err = fmt.Errorf("cannot run a container: %w", o.err)
	case o.code == cannotExecute && strings.Contains(o.errOut, "permission denied"):
		o.refused = true
	}
	return o
}

// remove removes a container and its volumes, if it is still there. The context of the
// run may have ended, so it has a time of its own. If docker run was cut off, the
// engine may still make the container, so remove asks again until one was removed.
// The engine prints the name of a container that it removes.
func (s *engineSource) remove(name string, cutOff bool) {
	times := s.engine.times
	ctx, cancel := context.WithTimeout(context.Background(), times.removal)
	defer cancel()
	settled := time.After(times.settle)
	for {
		removed, err := s.engine.command("rm", "-f", "-v", name).run(ctx)
		if !cutOff || err != nil || removed.out != "" {
			return
		}
		select {
		case <-settled:
			return
		case <-ctx.Done():
			return
		case <-time.After(times.settle / 20):
		}
	}
}
