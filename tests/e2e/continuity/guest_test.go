// SPDX-License-Identifier: Apache-2.0

package continuity

import (
	"bufio"
	"io"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/gateway-init/gateway-init/tests/harness"
)

// guest is a docker exec whose output is read while it runs.
type guest struct {
	cmd *exec.Cmd
	out *bufio.Reader
}

// enter starts a guest and waits for its first line.
func enter(t *testing.T, c *harness.Container, user string, args ...string) *guest {
	t.Helper()
	cmd := exec.Command(engine(), append(append(harness.ExecArgs(t, user), c.Name), args...)...)
	pipe, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	g := &guest{cmd, bufio.NewReader(pipe)}
	if line, err := g.out.ReadString('\n'); err != nil || !strings.HasSuffix(line, " waits\n") {
		t.Fatalf("docker exec as %s says %q, %v", user, line, err)
	}
	return g
}

// end waits for its end and returns the rest of its output and its exit code.
func (g *guest) end(t *testing.T) (string, int) {
	t.Helper()
	text, err := io.ReadAll(g.out)
	if err != nil {
		t.Error(err)
	}
	if err := g.cmd.Wait(); err != nil && g.cmd.ProcessState == nil {
		t.Error(err)
	}
	return string(text), g.cmd.ProcessState.ExitCode()
}

// engine returns the engine's command, as the harness chooses it.
func engine() string {
	if e := os.Getenv("ENGINE"); e != "" {
		return e
	}
	return "docker"
}
