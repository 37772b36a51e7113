// SPDX-License-Identifier: Apache-2.0

package flags

import (
	"errors"
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
	{"inherited", "In plain mode the command has no blocked and no ignored signals, and in both modes the soft limit of descriptors is the hard limit.",
		"TestInherited", []string{"ignored: blocked 0000000000000000, ignored 0000000000000000", "blocked: blocked 0000000000000000", "limits of descriptors are"}},
}

// rest are tests of gateway mode that must pass. Of the last one some cases run, because
// boot-to-serving needs the extra early-stop.
var rest = []struct {
	pkg, pattern string
	tests        []string // each must have run
}{
	{"command", "^TestExecErrorsAre126Or127$", []string{"TestExecErrorsAre126Or127"}},
	{"faults", "^(TestOnlyDocumentedSignalsHaveEffect|TestLeftoverFilesNeverHangBoot|TestDescendantNeverDelaysARestart)$" +
		"|^TestTermEndsContainerInEveryState$/^(proving|backoff|stopped|command|helper-that-ignores-it)$/^once$",
		[]string{"TestOnlyDocumentedSignalsHaveEffect", "TestLeftoverFilesNeverHangBoot", "TestDescendantNeverDelaysARestart",
			"TestTermEndsContainerInEveryState/helper-that-ignores-it/once"}},
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
	pass := func(name string, ran []string, args ...string) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			out, err := run(t, dir, name, append(args, "-test.v")...)
			if err != nil {
				t.Errorf("%v\n%s", err, out)
			}
			for _, test := range ran {
				if !strings.Contains(out, "--- PASS: "+test+" ") {
					t.Errorf("%s did not run", test)
				}
			}
		})
	}
	pass("plain", []string{"TestAllSignals", "TestExitCodes"}, "-test.skip", skipped)
	for _, r := range rest {
		pass(r.pkg, r.tests, "-test.run", r.pattern)
	}
}

// build builds gateway-init without any flag, and with it the other programs of a box
// and the tests.
func build(t *testing.T) (dir string) {
	t.Helper()
	dir = t.TempDir()
	gotool(t, "0", "build", "-o", dir+"/gateway-init", "./init")
	gotool(t, "0", "build", "-ldflags=-s -w", "-o", dir+"/", "./gatewayctl", "./tests/fixtures/demogateway", "./tests/fixtures/demotools")
	gotool(t, "0", "build", "-ldflags=-s -w", "-o", dir+"/gateway-relay", "./relay")
	gotool(t, "0", "test", "-c", "-ldflags=-s -w", "-o", dir+"/", "./tests/ns/plain", "./tests/ns/command", "./tests/ns/faults")
	return dir
}

// TestBuildWithCgoRefuses checks that a program that cannot drop its rights does not
// start, in either mode. Go links cgo by itself where a C compiler is.
func TestBuildWithCgoRefuses(t *testing.T) {
	program := t.TempDir() + "/gateway-init"
	gotool(t, "1", "build", "-tags=netgo,osusergo", "-o", program, "./init") // these need no C compiler
	for _, args := range [][]string{{"/bin/true"}, {"--no-gateway", "/bin/true"}, {"--version"}} {
		out, err := exec.CommandContext(t.Context(), program, args...).CombinedOutput()
		if exit := (*exec.ExitError)(nil); !errors.As(err, &exit) || exit.ExitCode() != 1 || !strings.Contains(string(out), "build it with CGO_ENABLED=0") {
			t.Errorf("%q: %v\n%s", args, err, out)
		}
	}
}

func gotool(t *testing.T, cgo string, args ...string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", args...)
	cmd.Dir, cmd.Env = harness.Root(t), append(os.Environ(), "CGO_ENABLED="+cgo, "GOFLAGS=-buildvcs=false") // git refuses a checkout of another user
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
