package verify

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"gatewayinit/internal/sys"
)

// Engine is a container engine's command line, run with its caller's environment:
// DOCKER_HOST, its configuration and its credentials are there.
type Engine struct {
	path string
	env  []string
}

// NewEngine is the engine that ENGINE names in env, docker or podman, found in
// the PATH of env.
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

// engineSource is an image of an engine's store. Its name is looked up once;
// from then on it is its id, so that what is run is what was read.
type engineSource struct {
	engine Engine
	name   string
	id     string
}

// Saved is an image that an engine has.
func Saved(e Engine, name string) Source { return &engineSource{engine: e, name: name} }

func (s *engineSource) read(ctx context.Context, sift *sift) (im *image, err error) {
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
	if saved.code != 0 && ctx.Err() == nil { // what was read may be half of it
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

func (s *engineSource) runner(*image) (runner, verdict) { return s, verdict{} }

// Exit codes of docker run (docker-run(1)): the daemon's own failure, and what
// execve(2) of the program said.
const (
	engineFailed  = 125
	cannotExecute = 126
	cannotFind    = 127
)

// run is one container: without network, without a right, gone when it ends.
func (s *engineSource) run(ctx context.Context, uid, gid uint32, argv ...string) (ended, bool, error) {
	args := []string{
		"run", "--rm", "--network", "none", "--read-only", "--cap-drop", "ALL", "--security-opt", "no-new-privileges",
		"--user", fmt.Sprintf("%d:%d", uid, gid), "--entrypoint", argv[0], s.id,
	}
	e, err := s.engine.command(append(args, argv[1:]...)...).run(ctx)
	switch {
	case err == nil && e.code == engineFailed:
		err = errors.New(firstLine(e.errOut))
	case err == nil && e.code == cannotExecute && strings.Contains(e.errOut, "permission denied"):
		return e, true, nil
	}
	if err != nil {
		return e, false, fmt.Errorf("cannot run a container: %w", err)
	}
	return e, false, nil
}
