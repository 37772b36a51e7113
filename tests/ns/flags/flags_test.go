// SPDX-License-Identifier: Apache-2.0

package flags

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gateway-init/gateway-init/internal/testenv"
	"github.com/gateway-init/gateway-init/tests/harness"
)

// extras are what a build without the linker flag of the Makefile (-E) lacks.
var extras = []struct {
	name, differs string
	test          string   // of tests/ns/plain; it needs the extra
	says          []string // what the test prints without it
}{
	{"early-stop", "In both modes a stop signal that comes before main ends PID 1 with 2, and not with 128+n.",
		"TestEarlyTerm", []string{"exit code 2"}},
	{"inherited", "In plain mode the command has no blocked and no ignored signals, and its soft limit of descriptors is the hard limit.",
		"TestInherited", []string{"ignored: blocked 0000000000000000, ignored 0000000000000000", "blocked: blocked 0000000000000000", "limits of descriptors are"}},
}

// rest are tests that must pass, beside those of plain mode that need no extra. Of F07,
// boot-to-serving needs the extra early-stop.
var rest = map[string]string{
	"command": "^TestScenarioL23Exec",
	"faults":  "^TestScenarioF0[358]$|^TestScenarioF07$/^(proving|backoff|stopped|command|helper-that-ignores-it)$/^once$",
}

// TestBuildWithoutFlags: what the page promises.
func TestBuildWithoutFlags(t *testing.T) {
	testenv.Root(t)
	dir := build(t)
	skipped := "^TestGrace$" // it waits for six seconds
	for _, e := range extras {
		skipped += "|^" + e.test + "$"
		t.Run(e.name, func(t *testing.T) {
			out, err := run(t, dir, "plain", "-test.run", "^"+e.test+"$")
			if err == nil {
				t.Errorf("%s passes, so this is no extra any more: %s", e.test, e.differs)
			}
			for _, text := range e.says {
				if err != nil && !strings.Contains(out, text) {
					t.Errorf("%s fails in another way, without %q: %s\n%s", e.test, text, e.differs, out)
				}
			}
		})
	}
	pass := func(name string, args ...string) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if out, err := run(t, dir, name, args...); err != nil {
				t.Errorf("%v\n%s", err, out)
			}
		})
	}
	pass("plain", "-test.skip", skipped)
	for name, pattern := range rest {
		pass(name, "-test.run", pattern)
	}
}

// build builds gateway-init without any flag, and with it the other programs of a box
// and the tests.
func build(t *testing.T) (dir string) {
	t.Helper()
	dir = t.TempDir()
	gotool(t, "build", "-o", dir+"/gateway-init", "./init")
	gotool(t, "build", "-ldflags=-s -w", "-o", dir+"/", "./gatewayctl", "./tests/fixtures/demogateway", "./tests/fixtures/demotools")
	gotool(t, "test", "-c", "-ldflags=-s -w", "-o", dir+"/", "./tests/ns/plain", "./tests/ns/command", "./tests/ns/faults")
	return dir
}

func gotool(t *testing.T, args ...string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", args...)
	cmd.Dir, cmd.Env = harness.Root(t), append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=-buildvcs=false") // git refuses a checkout of another user
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("go %s: %v\n%s", strings.Join(args, " "), err, out)
	}
}

// run runs tests of a package with the programs in dir.
func run(t *testing.T, dir, name string, args ...string) (output string, err error) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), filepath.Join(dir, name+".test"), append(args, "-test.timeout=10m")...)
	cmd.Dir, cmd.Env = filepath.Join(harness.Root(t), "tests/ns", name), append(os.Environ(), "GATEWAY_INIT_BIN="+dir)
	out, err := cmd.CombinedOutput()
	return string(out), err
}
