// SPDX-License-Identifier: Apache-2.0

package verify

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path"
	"strings"
	"time"

	"github.com/gateway-init/gateway-init/internal/sys"
)

// Engine is a container engine's command line. It runs with its caller's
// environment, because DOCKER_HOST, its configuration and its credentials are
// there.
type Engine struct {
	path string
	env  []string
}

// NewEngine returns the engine that ENGINE names in env, docker or podman, found
// in the PATH of env.
func NewEngine(env []string) (Engine, error) {
	name := "docker"
	for _, kv := range env {
		if value, ok := strings.CutPrefix(kv, "ENGINE="); ok && value != "" {
			name = value
		}
	}
	if name != "docker" && name != "podman" {
		return Engine{}, fmt.Errorf("cannot use ENGINE=%.40q: it is docker or podman", name)
	}
	path, err := sys.LookPath(name, env)
	if err != nil {
		return Engine{}, fmt.Errorf("cannot find %s in PATH: %w", name, err)
	}
	return Engine{path, env}, nil
}

func (e Engine) command(args ...string) program {
	return program{path: e.path, args: append([]string{e.path}, args...), env: e.env}
}

// engineSource is an image of an engine's store. Its name is looked up once.
// From then on its id is used, so that the image that is run is the one that was
// read.
type engineSource struct {
	engine Engine
	name   string
	id     string
}

// Saved returns a Source for an image that an engine has.
func Saved(e Engine, name string) Source { return &engineSource{engine: e, name: name} }

func (s *engineSource) read(ctx context.Context, sift *layerScan) (im *image, err error) {
	if s.name == "" || s.name[0] == '-' {
		return nil, fmt.Errorf("cannot read image %.200q: it is no name of an image", s.name)
	}
	found, err := s.engine.command("image", "inspect", "--format", "{{.Id}}", s.name).run(ctx)
	if err == nil && found.code != 0 {
		err = errors.New(firstLine(found.errOut))
	}
	if err != nil {
		return nil, fmt.Errorf("cannot read image %.200q: %w", s.name, err)
	}
	s.id = strings.TrimSpace(found.out)
	saved, err := s.engine.command("save", s.id).stream(ctx, func(r io.Reader) (err error) {
		im, err = readArchive(r, sift)
		if err != nil {
			return err
		}
		_, err = io.Copy(io.Discard, r) // a pipe that breaks would look like a failed save
		return err
	})
	if saved.code != 0 && ctx.Err() == nil { // only half of it may have been read
		err = fmt.Errorf("%s save: %s: %w", s.engine.path, firstLine(saved.errOut), errors.Join(err, errSave))
	}
	if err != nil {
		return nil, fmt.Errorf("cannot read image %.200q: %w", s.name, err)
	}
	return im, nil
}

var errSave = errors.New("it failed")

func firstLine(text string) string {
	line, _, _ := strings.Cut(strings.TrimSpace(text), "\n")
	return fmt.Sprintf("%.300s", line)
}

// Exit codes of docker run (docker-run(1)) for the daemon's own failure and for
// the errors of execve(2) of the program.
const (
	engineFailed  = 125
	cannotExecute = 126
	cannotFind    = 127
)

// containerTime is how long a container may take; removalTime is how long its
// removal may take.
const (
	containerTime = 30 * time.Second
	removalTime   = 10 * time.Second
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

// contained runs one container without network, without a right, and with
// limits. It removes the container by name on every way out, because the end of
// docker run alone leaves the container running.
func (s *engineSource) contained(ctx context.Context, uid, gid uint32, argv ...string) (o outcome) {
	var random [8]byte
	if err := sys.Random(random[:]); err != nil {
		return outcome{err: fmt.Errorf("cannot name a container: %w", err)}
	}
	name := fmt.Sprintf("gateway-init-verify-%x", random)
	args := []string{
		"run", "--rm", "--name", name, "--no-healthcheck", "--network", "none", "--read-only", "--cap-drop", "ALL", "--security-opt", "no-new-privileges",
		"--pids-limit", "64", "--memory", "256m", "--user", fmt.Sprintf("%d:%d", uid, gid), "--entrypoint", argv[0], s.id,
	}
	defer s.remove(name)
	within, cancel := context.WithTimeout(ctx, containerTime)
	defer cancel()
	o.exitResult, o.err = s.engine.command(append(args, argv[1:]...)...).run(within)
	switch {
	case ctx.Err() != nil:
		o.err = ctx.Err()
	case errors.Is(o.err, context.DeadlineExceeded):
		o.err = fmt.Errorf("a container did not end within %v and was removed", containerTime)
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

// remove removes a container, if it is still there. The context of the run may
// have ended, so it has a time of its own.
func (s *engineSource) remove(name string) {
	ctx, cancel := context.WithTimeout(context.Background(), removalTime)
	defer cancel()
	_, _ = s.engine.command("rm", "-f", name).run(ctx)
}
