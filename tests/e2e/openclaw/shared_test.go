// SPDX-License-Identifier: Apache-2.0

//go:build long

package openclaw

import (
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"

	"github.com/gateway-init/gateway-init/tests/harness"
)

func TestMain(m *testing.M) {
	// Tests that wait for the common container or for a place use no processor.
	os.Exit(harness.Main(m, harness.MainOptions{SideBySide: 100}))
}

// commonTurn is held by the test that uses the common container.
var commonTurn sync.Mutex

// shared returns the container that tests share, one after the other. It serves,
// and each test leaves it serving. Its health interval is shorter than in the
// profile, so that a test can wait until a hanging gateway is found.
func shared(t *testing.T) *harness.Container {
	t.Helper()
	needImage(t)
	t.Parallel()
	commonTurn.Lock()
	t.Cleanup(commonTurn.Unlock)
	c := harness.Share(t, "common", func(h testing.TB) harness.Options {
		o := options(h, nil, map[string]any{"gateway": map[string]any{"health": map[string]any{"interval": "10s"}}})
		o.Extra = append(o.Extra, "-v", otherRelease(h)+":/usr/local/bin/gatewayctl-other:ro")
		return o
	})
	c.WaitServing(ready)
	return c
}

// otherRelease builds a gatewayctl of another version.
func otherRelease(t testing.TB) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "gatewayctl")
	cmd := exec.Command("go", "build", "-ldflags", "-X github.com/gateway-init/gateway-init/internal/version.String=v0.0.1-other", "-o", file, "./gatewayctl")
	cmd.Dir, cmd.Env = harness.Root(t), append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if err := os.Chmod(file, 0o700); err != nil {
		t.Fatal(err)
	}
	return file
}

// start starts a container with options and waits until the gateway serves.
func start(t *testing.T, conf, over map[string]any) *harness.Container {
	t.Helper()
	c := harness.Start(t, options(t, conf, over))
	c.WaitServing(ready)
	return c
}
