// SPDX-License-Identifier: Apache-2.0

package harness

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"
)

// engineTimeout bounds one call of the engine's command. A request to PID 1 has its
// own bound of 120 s, and a drain takes some minutes.
const engineTimeout = 6 * time.Minute

// Result is the result of a command. Stdout and Stderr are unchanged.
type Result struct {
	Code           int
	Stdout, Stderr string
}

func (r Result) String() string {
	return fmt.Sprintf("exit code %d\nstdout: %s\nstderr: %s", r.Code, r.Stdout, r.Stderr)
}

// Unwrapped returns r without the line breaks that gatewayctl status puts between
// words.
func (r Result) Unwrapped() Result {
	r.Stdout = strings.ReplaceAll(r.Stdout, "\n"+strings.Repeat(" ", 14), " ")
	return r
}

// images are the images that exist for certain.
var images sync.Map

func needImage(t testing.TB, image string) {
	t.Helper()
	if _, known := images.Load(image); known {
		return
	}
	if r := Engine(t, nil, "image", "inspect", "-f", "{{.Id}}", image); r.Code != 0 {
		t.Fatalf("no image %s: run make image (or make e2e, which does)\n%s", image, r.Stderr)
	}
	images.Store(image, true)
}

// Engine runs the engine's command with stdin. It fails the test only if the
// command cannot be run or does not exit.
func Engine(t testing.TB, stdin []byte, args ...string) Result {
	t.Helper()
	starting(t, args) // may wait, which is outside the timeout
	// The test's context has ended when cleanups run.
	ctx, cancel := context.WithTimeout(context.Background(), engineTimeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, engine(), args...)
	var stdout, stderr bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = bytes.NewReader(stdin), &stdout, &stderr
	err := cmd.Run()
	if exit := (*exec.ExitError)(nil); err != nil && (!errors.As(err, &exit) || ctx.Err() != nil) {
		t.Fatalf("cannot run %s %s: %v", engine(), strings.Join(args, " "), errors.Join(err, ctx.Err()))
	}
	return Result{cmd.ProcessState.ExitCode(), stdout.String(), stderr.String()}
}

// ContainersVariable is the environment variable that names a file. The file gets a
// line for each started container (tests/gotest).
const ContainersVariable = "GOTEST_CONTAINERS"

// starting waits for a slot if the engine's command runs a container, and counts
// the container.
func starting(t testing.TB, args []string) {
	t.Helper()
	if len(args) == 0 || args[0] != "run" {
		return
	}
	if _, shared := t.(fixtureHolder); !shared {
		Slot(t)
	}
	path := os.Getenv(ContainersVariable)
	if path == "" {
		return
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o644)
	if err == nil {
		_, err = fmt.Fprintln(f, t.Name())
		err = errors.Join(err, f.Close())
	}
	if err != nil {
		t.Fatalf("cannot count a container: %v", err)
	}
}

// must is Engine for commands that must succeed.
func (c *Container) must(args ...string) string {
	c.t.Helper()
	r := Engine(c.t, nil, args...)
	if r.Code != 0 {
		c.t.Fatalf("%s %s: %v", engine(), strings.Join(args, " "), r)
	}
	return strings.TrimSpace(r.Stdout)
}

// Exec runs a command in the container as user ("" is the image's, root).
func (c *Container) Exec(user string, args ...string) Result {
	c.t.Helper()
	return c.ExecInput(user, nil, args...)
}

// ExecInput is Exec with stdin.
func (c *Container) ExecInput(user string, stdin []byte, args ...string) Result {
	c.t.Helper()
	return c.ExecFlags([]string{"-i"}, user, stdin, args...)
}

// ExecFlags is ExecInput with flags of docker exec.
func (c *Container) ExecFlags(flags []string, user string, stdin []byte, args ...string) Result {
	c.t.Helper()
	if c.enterable(flags, user, args) {
		if r, ok := c.entered(stdin, args); ok {
			return r
		}
	}
	command := append(ExecArgs(c.t, user, flags...), c.Name)
	config, known := execFlags(command[1:len(command)-1], args)
	a := dialAPI()
	if a == nil || !known {
		return Engine(c.t, stdin, append(command, args...)...)
	}
	// The test's context has ended when cleanups run.
	ctx, cancel := context.WithTimeout(context.Background(), engineTimeout)
	defer cancel()
	r, err := a.exec(ctx, c.Name, config, stdin)
	if err != nil {
		c.t.Fatalf("cannot exec %s: %v", strings.Join(args, " "), errors.Join(err, ctx.Err()))
	}
	return r
}

// ExecDetached starts a command in the container and leaves it running.
func (c *Container) ExecDetached(user string, args ...string) {
	c.t.Helper()
	if r := c.ExecFlags([]string{"-d"}, user, nil, args...); r.Code != 0 {
		c.t.Fatalf("exec -d %s: %v", strings.Join(args, " "), r)
	}
}

// Tools runs demotools as user. It must succeed. Tools returns its stdout.
func (c *Container) Tools(user string, args ...string) string {
	c.t.Helper()
	r := c.Exec(user, append([]string{"demotools"}, args...)...)
	if r.Code != 0 {
		c.t.Fatalf("demotools %s as %q: %v", strings.Join(args, " "), user, r)
	}
	return r.Stdout
}

// Ctl runs gatewayctl as root.
func (c *Container) Ctl(args ...string) Result {
	c.t.Helper()
	return c.Exec("", append([]string{"gatewayctl"}, args...)...)
}

// MustCtl is Ctl for a command that must exit with 0. It returns its stdout.
func (c *Container) MustCtl(args ...string) string {
	c.t.Helper()
	r := c.Ctl(args...)
	if r.Code != 0 {
		c.t.Fatalf("gatewayctl %s: %v", strings.Join(args, " "), r)
	}
	return strings.TrimSpace(r.Stdout)
}
