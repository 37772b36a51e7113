// SPDX-License-Identifier: Apache-2.0

package plain

import (
	"os"
	"strings"
	"testing"

	"github.com/gateway-init/gateway-init/internal/testenv"
)

// TestExitCodes checks the command's code, 128+n for a signal, and the effect of
// -e.
func TestExitCodes(t *testing.T) {
	for name, c := range map[string]struct {
		args []string
		want int
	}{
		"0":              {[]string{"true"}, 0},
		"1":              {[]string{"false"}, 1},
		"7":              {[]string{"--", "sh", "-c", "exit 7"}, 7},
		"255":            {[]string{"sh", "-c", "exit 255"}, 255},
		"term":           {[]string{"sh", "-c", "kill -TERM $$"}, 143},
		"kill":           {[]string{"sh", "-c", "kill -KILL $$"}, 137},
		"segv":           {[]string{"sh", "-c", "kill -SEGV $$"}, 139},
		"options":        {[]string{"sh", "-c", "exit $#", "-s", "--", "-g"}, 2},
		"e":              {[]string{"-e", "7", "--", "sh", "-c", "exit 7"}, 0},
		"e-other":        {[]string{"-e", "7", "--", "sh", "-c", "exit 8"}, 8},
		"e-two":          {[]string{"-e7", "-e", "143", "sh", "-c", "kill -TERM $$"}, 0},
		"e-zero":         {[]string{"-e", "0", "--", "true"}, 0},
		"e-255":          {[]string{"-e", "255", "--", "sh", "-c", "exit 255"}, 0},
		"not-found":      {[]string{"no-such-program"}, 127},
		"not-found-path": {[]string{"/no/such/program"}, 127},
		"not-executable": {[]string{"/etc/passwd"}, 126},
		"directory":      {[]string{"/etc"}, 126},
		"empty-word":     {[]string{"--", ""}, 127},
		"name-too-long":  {[]string{strings.Repeat("x", 300)}, 126},
		"one-word":       {[]string{"echo hello"}, 127},
	} {
		t.Run(name, func(t *testing.T) {
			for _, h := range []how{{}, {beside: true}} {
				if _, code := output(t, h, append([]string{"-s"}, c.args...)...); code != c.want {
					t.Errorf("%+v: exit code %d, want %d", h, code, c.want)
				}
			}
		})
	}
}

// TestRefused checks that a wrong command line starts nothing and gives its reason
// in one line.
func TestRefused(t *testing.T) {
	for name, args := range map[string][]string{
		"no-command": {}, "only-options": {"-s", "--"}, "e-256": {"-e", "256", "true"}, "e-x": {"-e", "x", "true"}, "e-none": {"-e"},
		"p": {"-p", "SIGNO", "true"}, "unknown": {"-x", "true"}, "unknown-long": {"--exit", "true"}, "rewrite": {"-r", "15", "true"},
		"grace": {"--grace", "soon", "true"}, "user": {"--user", "no-such-user", "true"}, "root": {"--user", "root", "true"},
	} {
		r := start(t, how{}, args...)
		if code := r.ended(); code != 1 || strings.Count(r.stderr(), "\n") != 1 || !strings.HasPrefix(r.stderr(), "gateway-init: error: ") {
			t.Errorf("%s: exit code %d, stderr %q", name, code, r.stderr())
		}
	}
}

// TestTexts checks that help, version and license go to stdout.
func TestTexts(t *testing.T) {
	for option, want := range map[string]string{"-h": "usage: gateway-init", "--help": "usage: gateway-init", "--version": "gateway-init ", "-V": "gateway-init ", "-l": "Apache"} {
		if out, code := output(t, how{}, option); code != 0 || !strings.Contains(out, want) {
			t.Errorf("%s: exit code %d, %q", option, code, out)
		}
	}
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	testenv.Must(t, err)
	defer full.Close()
	r := start(t, how{before: []string{"sh", "-c", `exec "$0" "$@" >/dev/full`}}, "-h")
	if code := r.ended(); code != 1 {
		t.Errorf("a full stdout: exit code %d", code)
	}
}

// TestScript checks that the shell runs a script without a first line, as with
// execvp(3).
func TestScript(t *testing.T) {
	path := t.TempDir() + "/script"
	testenv.Must(t, os.WriteFile(path, []byte("echo script $1 $#; exit 9\n"), 0o755))
	if out, code := output(t, how{}, path, "a b", "c"); out != "script a b 2\n" || code != 9 {
		t.Errorf("%q, exit code %d", out, code)
	}
	testenv.Must(t, os.WriteFile(path, []byte("#!/no/such/interpreter\n"), 0o755))
	r := start(t, how{}, path)
	if code := r.ended(); code != 127 || !strings.Contains(r.stderr(), `no such file or directory: its interpreter "/no/such/interpreter": no such file or directory`) {
		t.Errorf("no interpreter: exit code %d, stderr %q", code, r.stderr())
	}
}

// TestProgramForAnotherMachine checks that no shell runs a program as a script, and that
// the line names its format.
func TestProgramForAnotherMachine(t *testing.T) {
	path := t.TempDir() + "/program"
	for name, c := range map[string]struct{ text, want string }{
		"s390x":   {"\x7fELF\x02\x02\x01" + strings.Repeat("\x00", 9) + "\x00\x02\x00\x16" + strings.Repeat("\x00", 44), "it is a program for s390x, and this machine is "},
		"windows": {"MZ\x90\x00\x03\n", "it is a program for Windows"},
		"unknown": {"a\x00b\n", "it is no program: its format is unknown"},
	} {
		testenv.Must(t, os.WriteFile(path, []byte(c.text), 0o755))
		r := start(t, how{}, path)
		if code := r.ended(); code != 126 || strings.Count(r.stderr(), "\n") != 1 || !strings.Contains(r.stderr(), "exec format error: "+c.want) {
			t.Errorf("%s: exit code %d, stderr %q", name, code, r.stderr())
		}
	}
}

// TestWarning checks the warning, which tini has too, if we are neither PID 1 nor a
// subreaper and so get no orphans. The subreaper bit survives an exec.
func TestWarning(t *testing.T) {
	warns := func(h how, args ...string) bool {
		t.Helper()
		r := start(t, h, append(args, "true")...)
		if code := r.ended(); code != 0 {
			t.Errorf("%v: exit code %d", args, code)
		}
		return strings.Contains(r.stderr(), "nor a subreaper")
	}
	beside := how{beside: true}
	for name, c := range map[string]struct {
		h    how
		args []string
		want bool
	}{
		"pid-1": {how{}, nil, false}, "beside": {beside, nil, true}, "subreaper": {beside, []string{"-s"}, false},
		"env":           {how{beside: true, env: []string{"TINI_SUBREAPER="}}, nil, false},
		"quiet":         {how{beside: true, env: []string{"TINI_VERBOSITY=0"}}, nil, false},
		"below-another": {how{beside: true, before: []string{binary(t), "-s", "--"}}, nil, true},
		"grace":         {beside, []string{"--grace", "1"}, false},
	} {
		if got := warns(c.h, c.args...); got != c.want {
			t.Errorf("%s: warned is %v", name, got)
		}
	}
}

// TestVerbosity checks that each -v adds messages, and that tini's variable
// overrides.
func TestVerbosity(t *testing.T) {
	lines := func(env []string, args ...string) int {
		t.Helper()
		r := start(t, how{env: env}, append(args, "sh", "-c", "kill -WINCH 1; (true &); sleep 0.2")...)
		r.ended()
		return strings.Count(r.stderr(), "\n")
	}
	none, info, debug := lines(nil), lines(nil, "-v"), lines(nil, "-vv")
	if none != 0 || info != 2 || debug < 3 {
		t.Errorf("%d, %d and %d lines", none, info, debug)
	}
	if got := lines([]string{"TINI_VERBOSITY=3"}); got < 3 {
		t.Errorf("TINI_VERBOSITY=3: %d lines", got)
	}
	if got := lines([]string{"TINI_VERBOSITY=0"}, "-vvv"); got != 0 {
		t.Errorf("TINI_VERBOSITY=0 -vvv: %d lines", got)
	}
}
