// SPDX-License-Identifier: Apache-2.0

package verify

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/gateway-init/gateway-init/internal/sys"
)

// Engine is a container engine's command line. It runs with its caller's
// environment, because DOCKER_HOST, its configuration and its credentials are
// there.
type Engine struct {
	path  string
	env   []string
	times engineTimes
}

// engineTimes are how long the calls of an engine may take. The first byte of a save
// takes long, because an engine may copy the image before it writes one.
type engineTimes struct {
	ask       time.Duration // a question
	idle      time.Duration // between two bytes of a save
	container time.Duration // a container
	removal   time.Duration // its removal
	settle    time.Duration // until a container exists whose start was cut off
}

func usualTimes() engineTimes {
	return engineTimes{ask: 30 * time.Second, idle: 10 * time.Minute, container: 30 * time.Second, removal: 10 * time.Second, settle: 2 * time.Second}
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
	return Engine{path, env, usualTimes()}, nil
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

func (s *engineSource) read(ctx context.Context, sift *layerScan) (*image, error) {
	if s.name == "" || s.name[0] == '-' {
		return nil, fmt.Errorf("cannot read image %.200q: it is no name of an image", s.name)
	}
	im, err := s.saved(ctx, sift)
	if err != nil {
		return nil, fmt.Errorf("cannot read image %.200q: %w", s.name, err)
	}
	return im, nil
}

// saved looks the image up and reads it.
func (s *engineSource) saved(ctx context.Context, sift *layerScan) (im *image, err error) {
	within, cancel := context.WithTimeout(ctx, s.engine.times.ask)
	defer cancel()
	found, err := s.engine.command("image", "inspect", "--format", "{{.Id}}", s.name).run(within)
	switch {
	case ctx.Err() == nil && within.Err() != nil:
		return nil, fmt.Errorf("%s image inspect did not answer within %v", s.engine.path, s.engine.times.ask)
	case err == nil && found.code != 0:
		err = errors.New(firstLine(found.errOut))
	}
	if err != nil {
		return nil, err
	}
	s.id = strings.TrimSpace(found.out)
	return s.save(ctx, sift)
}

// save reads the image from the engine, as long as bytes come.
func (s *engineSource) save(ctx context.Context, sift *layerScan) (im *image, err error) {
	limit := s.engine.times.idle
	within, seen, stop := withIdle(ctx, limit, fmt.Errorf("%s save wrote nothing for %v", s.engine.path, limit))
	defer stop()
	saved, err := s.engine.command("save", s.id).stream(within, func(r io.Reader) (err error) {
		r = &watchedReader{r, seen}
		im, err = readArchive(r, sift)
		if err != nil {
			return err
		}
		_, err = io.Copy(io.Discard, r) // a pipe that breaks would look like a failed save
		return err
	})
	if saved.code != 0 && within.Err() == nil { // only half of it may have been read
		err = fmt.Errorf("%s save failed: %s", s.engine.path, cmp.Or(firstLine(saved.errOut), fmt.Sprintf("exit code %d", saved.code)))
	}
	return im, err
}

// withIdle returns a context that ends with cause if seen is not called for a time.
func withIdle(ctx context.Context, limit time.Duration, cause error) (within context.Context, seen, stop func()) {
	within, cancel := context.WithCancelCause(ctx)
	timer := time.AfterFunc(limit, func() { cancel(cause) })
	return within, func() { timer.Reset(limit) }, func() { timer.Stop(); cancel(nil) }
}

// watchedReader calls seen for each read that returned.
type watchedReader struct {
	io.Reader
	seen func()
}

func (w *watchedReader) Read(p []byte) (int, error) {
	n, err := w.Reader.Read(p)
	w.seen()
	return n, err
}

func firstLine(text string) string {
	line, _, _ := strings.Cut(strings.TrimSpace(text), "\n")
	return fmt.Sprintf("%.300s", line)
}
