// SPDX-License-Identifier: Apache-2.0

// Package input gives gateway-init and gatewayctl bad input in containers. For each
// they write one line that says what was wrong, where, and what to do.
package input

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/gateway-init/gateway-init/tests/harness"
)

// checkRefused starts a container. It must end by itself with the exit code and one line
// that has all the words.
func checkRefused(t *testing.T, o harness.Options, code int, words ...string) {
	t.Helper()
	c, r := harness.TryStart(t, o)
	if r.Code != 0 {
		t.Fatalf("the engine refuses: %v", r)
	}
	if got := c.WaitExit(30 * time.Second); got != code {
		t.Errorf("exit code %d, want %d", got, code)
	}
	checkOneLine(t, c.Logs(), words...)
}

// checkOneLine checks that output has one line for the user, with all the words. Other
// lines must have the log's format.
func checkOneLine(t *testing.T, output string, words ...string) {
	t.Helper()
	var said []string
	for _, line := range strings.Split(strings.TrimSpace(output), "\n") {
		if !strings.HasPrefix(line, "{") {
			said = append(said, line)
		}
	}
	if len(said) != 1 || !strings.HasPrefix(said[0], "gateway-init: ") {
		t.Fatalf("not one line of gateway-init:\n%s", output)
	}
	for _, w := range words {
		if !strings.Contains(said[0], w) {
			t.Errorf("the line does not say %q: %s", w, said[0])
		}
	}
}

// configDir makes a directory that will be mounted as /etc/gateway-init.
func configDir(t *testing.T) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "etc")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}

func write(t *testing.T, path string, data []byte, mode os.FileMode) {
	t.Helper()
	if err := os.WriteFile(path, data, mode); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, mode); err != nil {
		t.Fatal(err)
	}
}
