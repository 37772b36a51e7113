// SPDX-License-Identifier: Apache-2.0

package harness

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gateway-init/gateway-init/internal/testenv"
)

// Container is one container of a test. Its methods fail the test if the engine
// fails. The test judges the result of the program inside.
type Container struct {
	Name string
	ID   string

	t         testing.TB
	life      *life
	plainRoot bool
	stateDir  string
	configDir string
}

// Start runs a container and removes it at the end of the test. It waits for the
// engine, not for the gateway (see WaitServing).
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
	c := &Container{Name: NewName(t), t: t, life: new(life), plainRoot: plainRoot(o)}
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

// For returns the same container for another test, which gets its failures and its
// log. The first test removes it.
func (c *Container) For(t testing.TB) *Container {
	d := *c
	d.t = t
	t.Cleanup(d.explain)
	return &d
}

// remove removes the container.
func (c *Container) remove() {
	c.explain()
	if a := dialAPI(); a != nil {
		ctx, cancel := context.WithTimeout(context.Background(), engineTimeout)
		defer cancel()
		if err := a.call(ctx, http.MethodDelete, "/containers/"+c.Name+"?force=1&v=1"); err != nil && !errors.As(err, new(refused)) {
			c.t.Errorf("cannot remove container %s: %v", c.Name, err)
		}
		return
	}
	Engine(c.t, nil, "rm", "-f", "-v", c.Name)
}

// explain shows the log of a container whose test failed, the output of status, and
// PID 1's record with the last request.
func (c *Container) explain() {
	if !c.t.Failed() {
		return
	}
	var state struct{ State json.RawMessage }
	err := c.inspect(&state)
	c.t.Logf("container %s: %s %v\nlog:\n%s", c.Name, state.State, err, c.Logs())
	if !c.Running() {
		return
	}
	c.t.Logf("status: %v", c.Ctl("status"))
	if record, err := os.ReadFile(c.recordPath()); err == nil {
		c.t.Logf("record: %s", record)
	}
}

// EngineGrace is the grace of docker stop. After it the engine kills.
const EngineGrace = 10 * time.Second

// Stop does docker stop, and returns how long it took. The test fails if the engine
// had to kill PID 1, after EngineGrace (testenv.AtMost).
func (c *Container) Stop() time.Duration {
	c.t.Helper()
	limit, begin := testenv.AtMost(c.t, EngineGrace), time.Now()
	c.must("stop", "-t", fmt.Sprint(int(limit.Seconds())), c.Name)
	took := time.Since(begin)
	if took >= limit {
		c.t.Errorf("docker stop took %v: the engine ended it, PID 1 did not", took)
	}
	return took
}

// StartAgain does docker start of a stopped container.
func (c *Container) StartAgain() { c.t.Helper(); c.must("start", c.Name) }

// Restart does docker restart.
func (c *Container) Restart() { c.t.Helper(); c.must("restart", c.Name) }

// Kill sends a signal ("TERM", "9") to PID 1 by the engine.
func (c *Container) Kill(signal string) { c.t.Helper(); c.must("kill", "-s", signal, c.Name) }

// Pause freezes every process.
func (c *Container) Pause() { c.t.Helper(); c.must("pause", c.Name) }

// Unpause continues every process after Pause.
func (c *Container) Unpause() { c.t.Helper(); c.must("unpause", c.Name) }

// Running reports whether PID 1 is alive.
func (c *Container) Running() bool {
	var state containerState
	return c.life.pid() != 0 || c.inspect(&state) == nil && state.State.Running
}

// WaitExit waits until the container has exited and returns its exit code.
func (c *Container) WaitExit(deadline time.Duration) int {
	c.t.Helper()
	code := -1
	Eventually(c.t, deadline, "the container to end", func() error {
		var state containerState
		if err := c.inspect(&state); err != nil {
			return err
		}
		if state.State.Running {
			return errors.New("it is running")
		}
		code = state.State.ExitCode
		return nil
	})
	return code
}

// containerState is the engine's description of a container's first process.
type containerState struct {
	State struct {
		Running       bool
		Pid, ExitCode int
	}
}

// Inspect decodes the engine's description of the container into v.
func (c *Container) Inspect(v any) {
	c.t.Helper()
	if err := c.inspect(v); err != nil {
		c.t.Fatalf("cannot inspect %s: %v", c.Name, err)
	}
}

func (c *Container) inspect(v any) error {
	a := dialAPI()
	if a == nil {
		r := Engine(c.t, nil, "inspect", "-f", "{{json .}}", c.Name)
		if r.Code != 0 {
			return errors.New(r.String())
		}
		return json.Unmarshal([]byte(r.Stdout), v)
	}
	ctx, cancel := context.WithTimeout(context.Background(), engineTimeout)
	defer cancel()
	return a.get(ctx, "/containers/"+c.Name+"/json", v)
}

// StateDir returns the gateway's home on the host, "" with NoState.
func (c *Container) StateDir() string { return c.stateDir }

// ConfigFile returns the mounted configuration on the host, "" without one.
func (c *Container) ConfigFile() string {
	if c.configDir == "" {
		return ""
	}
	return filepath.Join(c.configDir, "config.json")
}

// SetMisbehave replaces misbehave.json, for the gateway's next start. nil removes
// it.
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

// Misbehave changes the running gateway. With deaf_after 0s, it returns when the
// gateway has stopped listening, or has been replaced for that.
func (c *Container) Misbehave(m map[string]any) {
	c.t.Helper()
	before, _ := os.Stat(c.recordPath())
	data, err := json.Marshal(m)
	if err != nil {
		c.t.Fatal(err)
	}
	if r := c.HTTP("POST", "/api/misbehave", c.Token(), string(data)); r.Err != nil || r.Code != 200 {
		c.t.Fatalf("cannot change the gateway: %d %s %v", r.Code, r.Body, r.Err)
	}
	if m["deaf_after"] != "0s" {
		return
	}
	pid := c.HostPID()
	Eventually(c.t, testenv.Patience, "a gateway that is deaf", func() error {
		conn, err := DialIn(context.Background(), pid, "tcp", fmt.Sprintf("127.0.0.1:%d", Port))
		if err != nil {
			return nil
		}
		conn.Close()
		if now, err := os.Stat(c.recordPath()); err == nil && before != nil && !os.SameFile(now, before) {
			return nil
		}
		return errors.New("it listens")
	})
}
