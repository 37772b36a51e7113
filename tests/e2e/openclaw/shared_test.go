package openclaw

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sync"
	"testing"

	"gatewayinit/tests/harness"
)

// holder is the test that a shared container belongs to: what is to be undone
// waits for the end of all tests.
type holder struct {
	testing.TB
	undo []func()
}

func (h *holder) Cleanup(f func()) { h.undo = append(h.undo, f) }

func (h *holder) TempDir() string {
	dir, err := os.MkdirTemp("", "openclaw")
	if err != nil {
		h.Fatal(err)
	}
	h.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// common is the container that tests share: each leaves it serving.
var common struct {
	once sync.Once
	h    *holder
	c    *harness.Container
}

func TestMain(m *testing.M) {
	code := m.Run()
	if h := common.h; h != nil {
		for _, f := range slices.Backward(h.undo) {
			f()
		}
	}
	os.Exit(code)
}

// shared is the common container, serving. Health is asked more often than in
// the profile, so that a gateway that hangs is found within a test.
func shared(t *testing.T) *harness.Container {
	t.Helper()
	needImage(t)
	common.once.Do(func() {
		common.h = &holder{TB: t}
		o := options(common.h, nil, map[string]any{"gateway": map[string]any{"health": map[string]any{"interval": "10s"}}})
		o.Extra = append(o.Extra, "-v", otherRelease(common.h)+":/usr/local/bin/gatewayctl-other:ro")
		common.c = harness.Start(common.h, o)
	})
	if common.c == nil {
		t.Fatal("the shared container did not start")
	}
	c := common.c.For(t)
	c.WaitServing(ready)
	return c
}

// otherRelease is gatewayctl as another release would have built it.
func otherRelease(t testing.TB) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "gatewayctl")
	cmd := exec.Command("go", "build", "-ldflags", "-X gatewayinit/internal/version.String=v0.0.1-other", "-o", file, "./gatewayctl")
	cmd.Dir, cmd.Env = harness.Root(t), append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if err := os.Chmod(file, 0o700); err != nil {
		t.Fatal(err)
	}
	return file
}
