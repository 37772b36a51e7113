package harness

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// engineTimeout bounds one call of the engine's command; a request to PID 1 has
// 120 s of its own, and a drain some minutes.
const engineTimeout = 6 * time.Minute

// Container is one container of a test. Its methods fail the test when the
// engine does; what the program inside says is the test's to judge.
type Container struct {
	Name string
	ID   string

	t         testing.TB
	stateDir  string
	configDir string
}

// Result is how a command ended. Stdout and Stderr are as written.
type Result struct {
	Code           int
	Stdout, Stderr string
}

func (r Result) String() string {
	return fmt.Sprintf("exit code %d\nstdout: %s\nstderr: %s", r.Code, r.Stdout, r.Stderr)
}

// Start runs a container and removes it at the end of the test. It waits for
// the engine, not for the gateway: see WaitServing.
func Start(t testing.TB, o Options) *Container {
	t.Helper()
	c, r := TryStart(t, o)
	if r.Code != 0 {
		t.Fatalf("cannot start container: %v", r)
	}
	return c
}

// TryStart is Start for containers that the engine may refuse.
func TryStart(t testing.TB, o Options) (*Container, Result) {
	t.Helper()
	if o.Image == "" {
		o.Image = DemoImage
	}
	needImage(t, o.Image)
	c := &Container{Name: "gateway-init-test-" + strings.ToLower(rand.Text()), t: t}
	args := append(c.runArgs(o), o.Image)
	if !slices.Contains(o.Extra, "--entrypoint") {
		args = append(args, Entry()...)
	}
	args = append(args, o.Args...)
	args = append(args, o.Command...)
	t.Cleanup(c.remove)
	r := Engine(t, nil, args...)
	c.ID = strings.TrimSpace(r.Stdout)
	return c, r
}

// For is the same container as another test sees it: failures and the log go
// there. The first test removes it.
func (c *Container) For(t testing.TB) *Container {
	d := *c
	d.t = t
	t.Cleanup(d.explain)
	return &d
}

func needImage(t testing.TB, image string) {
	t.Helper()
	if r := Engine(t, nil, "image", "inspect", "-f", "{{.Id}}", image); r.Code != 0 {
		t.Fatalf("no image %s: run make image (or make e2e, which does)\n%s", image, r.Stderr)
	}
}

// remove ends the container.
func (c *Container) remove() {
	c.explain()
	Engine(c.t, nil, "rm", "-f", "-v", c.Name)
}

// explain shows the log of a container whose test failed.
func (c *Container) explain() {
	if !c.t.Failed() {
		return
	}
	c.t.Logf("container %s: %s\nlog:\n%s", c.Name, c.inspect("{{json .State}}"), c.Logs())
	if c.Running() {
		c.t.Logf("status: %v", c.Ctl("status"))
	}
}

// Engine runs the engine's command with stdin. It fails the test only if the
// command cannot be run or does not end.
func Engine(t testing.TB, stdin []byte, args ...string) Result {
	t.Helper()
	// Not the test's context: that has ended when cleanups run.
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

// must is Engine for what has no reason to fail.
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
	return Engine(c.t, stdin, append(append(ExecArgs(c.t, user, flags...), c.Name), args...)...)
}

// ExecDetached starts a command in the container and leaves it running.
func (c *Container) ExecDetached(user string, args ...string) {
	c.t.Helper()
	if r := c.ExecFlags([]string{"-d"}, user, nil, args...); r.Code != 0 {
		c.t.Fatalf("exec -d %s: %v", strings.Join(args, " "), r)
	}
}

// Tools runs demotools as user; it must succeed. The result is its stdout.
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

// MustCtl is Ctl that must end with 0. The result is its stdout.
func (c *Container) MustCtl(args ...string) string {
	c.t.Helper()
	r := c.Ctl(args...)
	if r.Code != 0 {
		c.t.Fatalf("gatewayctl %s: %v", strings.Join(args, " "), r)
	}
	return strings.TrimSpace(r.Stdout)
}

// Logs is all that the container wrote, stdout before stderr.
func (c *Container) Logs() string {
	c.t.Helper()
	r := Engine(c.t, nil, "logs", c.Name)
	return r.Stdout + r.Stderr
}

// Stop is docker stop: it returns how long that took.
func (c *Container) Stop() time.Duration {
	c.t.Helper()
	begin := time.Now()
	c.must("stop", c.Name)
	return time.Since(begin)
}

// StartAgain is docker start of a stopped container.
func (c *Container) StartAgain() { c.t.Helper(); c.must("start", c.Name) }

// Restart is docker restart.
func (c *Container) Restart() { c.t.Helper(); c.must("restart", c.Name) }

// Kill sends a signal ("TERM", "9") to PID 1 by the engine.
func (c *Container) Kill(signal string) { c.t.Helper(); c.must("kill", "-s", signal, c.Name) }

// Pause and Unpause freeze every process and let them go on.
func (c *Container) Pause() { c.t.Helper(); c.must("pause", c.Name) }

// Unpause is the way back from Pause.
func (c *Container) Unpause() { c.t.Helper(); c.must("unpause", c.Name) }

// Running tells whether PID 1 lives.
func (c *Container) Running() bool { return c.inspect("{{.State.Running}}") == "true" }

// WaitExit waits until the container has ended and returns its exit code.
func (c *Container) WaitExit(deadline time.Duration) int {
	c.t.Helper()
	code := -1
	Eventually(c.t, deadline, "the container to end", func() error {
		var running bool
		text := c.inspect("{{.State.Running}} {{.State.ExitCode}}")
		if _, err := fmt.Sscan(text, &running, &code); err != nil {
			return fmt.Errorf("cannot read state %q: %w", text, err)
		}
		if running {
			return errors.New("it is running")
		}
		return nil
	})
	return code
}

// Inspect decodes the engine's description of the container into v.
func (c *Container) Inspect(v any) {
	c.t.Helper()
	if err := json.Unmarshal([]byte(c.must("inspect", "-f", "{{json .}}", c.Name)), v); err != nil {
		c.t.Fatalf("cannot read docker inspect: %v", err)
	}
}

func (c *Container) inspect(format string) string {
	return strings.TrimSpace(Engine(c.t, nil, "inspect", "-f", format, c.Name).Stdout)
}

// StateDir is the gateway's home on the host, "" with NoState.
func (c *Container) StateDir() string { return c.stateDir }

// ConfigFile is the mounted configuration on the host, "" without one.
func (c *Container) ConfigFile() string {
	if c.configDir == "" {
		return ""
	}
	return filepath.Join(c.configDir, "config.json")
}

// SetMisbehave replaces misbehave.json; it counts from the gateway's next
// start. nil removes it.
func (c *Container) SetMisbehave(m map[string]any) {
	c.t.Helper()
	if m == nil {
		m = map[string]any{}
	}
	data, err := json.Marshal(m)
	if err != nil {
		c.t.Fatal(err)
	}
	writeFile(c.t, filepath.Join(c.stateDir, "misbehave.json"), data, int(UID(c.t, GatewayUID)), 0o644)
}

// Misbehave changes the running gateway.
func (c *Container) Misbehave(m map[string]any) {
	c.t.Helper()
	data, err := json.Marshal(m)
	if err != nil {
		c.t.Fatal(err)
	}
	if r := c.HTTP("POST", "/api/misbehave", c.Token(), string(data)); r.Err != nil || r.Code != 200 {
		c.t.Fatalf("cannot change the gateway: %d %s %v", r.Code, r.Body, r.Err)
	}
}

func (c *Container) hostPID() (int, error) {
	text := c.inspect("{{.State.Pid}}")
	pid, err := strconv.Atoi(text)
	if err == nil && pid == 0 {
		err = errors.New("the container is not running")
	}
	return pid, err
}
