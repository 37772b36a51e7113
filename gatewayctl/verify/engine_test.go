// SPDX-License-Identifier: Apache-2.0

package verify

import (
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/gateway-init/gateway-init/internal/testenv"
)

// sums sets the hashes of the two programs of an archive, which are empty there.
func (f *fixture) sums() {
	empty := fmt.Sprintf("%x", sha256.Sum256(nil))
	f.options.Sums = map[string]string{"gateway-init": empty, "gatewayctl": empty}
}

// fakeEngine makes a command docker that has the fixture as image "demo". script
// runs first in each call.
func fakeEngine(t *testing.T, f *fixture, script string) Engine {
	t.Helper()
	bin := t.TempDir()
	testenv.Must(t, os.WriteFile(bin+"/saved", f.legacy(t), 0o644))
	text := "#!/bin/sh\ncd " + bin + "\necho \"$@\" >>calls\n" + script + `
case "$*" in
"image inspect --format {{.Id}} demo") echo sha256:11 ;;
"save sha256:11") cat saved ;;
run*"--user 9002:9002 --entrypoint /usr/local/sbin/gateway-init sha256:11 --version") echo gateway-init 1.0 ;;
run*"--user 9002:9002 --entrypoint /usr/local/bin/gatewayctl sha256:11 version")
	echo 'exec: "/usr/local/bin/gatewayctl": permission denied' >&2; exit 126 ;;
"rm -f -v gateway-init-verify-"*) ;;
*) echo "unexpected: $*" >&2; exit 99 ;;
esac
`
	testenv.Must(t, os.WriteFile(bin+"/docker", []byte(text), 0o755))
	e, err := NewEngine([]string{"PATH=/nowhere:" + bin + ":/usr/bin:/bin", "DOCKER_HOST=the-callers"})
	testenv.Must(t, err)
	return e
}

func calls(t *testing.T, e Engine) []string {
	t.Helper()
	text, err := os.ReadFile(filepath.Dir(e.path) + "/calls")
	testenv.Must(t, err)
	return strings.Split(strings.TrimSpace(string(text)), "\n")
}

func TestEngine(t *testing.T) {
	f := demo(t)
	f.sums()
	e := fakeEngine(t, f, `echo "$DOCKER_HOST" >>calls`)
	bad, all, r := result(t, Saved(e, "demo"), f.options)
	if !r.OK {
		t.Errorf("failed %v, %+v", bad, all)
	}
	excused := []string{"token-bytes", "gateway-not-readable", "release", "probe-root"}
	for name, c := range all {
		if c.Result == Note || c.Result == Held && !slices.Contains(excused, name) {
			continue
		}
		if c.Result != NotAvailable || !slices.Contains(excused, name) {
			t.Errorf("%s: %+v", name, c)
		}
	}
	if got := all["probe-sandbox"].Detail; got != "the kernel refuses gatewayctl to the sandbox user" {
		t.Errorf("probe-sandbox says %q", got)
	}
	lines := calls(t, e)
	if len(lines) != 12 || lines[1] != "the-callers" || strings.Count(strings.Join(lines, "\n"), "demo") != 1 {
		t.Errorf("called %q", lines)
	}
	for _, i := range []int{4, 8} {
		for _, flag := range []string{"--rm", "--no-healthcheck", "--network none", "--read-only", "--cap-drop ALL", "--security-opt no-new-privileges",
			"--pids-limit 64", "--memory 256m", "--user 9002:9002", "--name gateway-init-verify-", "--pull never", "--log-driver none"} {
			if !strings.Contains(lines[i], flag) {
				t.Errorf("a container is run without %s: %s", flag, lines[i])
			}
		}
		_, name, _ := strings.Cut(lines[i], "--name ")
		if name, _, _ = strings.Cut(name, " "); lines[i+2] != "rm -f -v "+name {
			t.Errorf("container %s is not removed: %q", name, lines[i+2])
		}
	}
	if lines[4] == lines[8] {
		t.Errorf("two containers have one name: %s", lines[4])
	}
}

// TestEngineRunsNothingUnknown checks that no program of an image runs without its
// hash, and that the detail says how to have it run.
func TestEngineRunsNothingUnknown(t *testing.T) {
	for name, c := range map[string]struct {
		sums    map[string]string
		runs    int
		release string
	}{
		"no-hash":      {nil, 0, "--expect-sha256 gateway-init=HEX runs it"},
		"init-alone":   {map[string]string{"gateway-init": ""}, 1, "--expect-sha256 gatewayctl=HEX runs it"},
		"another-hash": {map[string]string{"gateway-init": strings.Repeat("0", 64)}, 0, "see hashes"},
	} {
		t.Run(name, func(t *testing.T) {
			f := demo(t)
			f.sums()
			known := f.options.Sums
			f.options.Sums = map[string]string{}
			for n, sum := range c.sums {
				f.options.Sums[n] = cmp.Or(sum, known[n])
			}
			e := fakeEngine(t, f, "")
			_, all, _ := result(t, Saved(e, "demo"), f.options)
			runs := 0
			for _, line := range calls(t, e) {
				if strings.HasPrefix(line, "run ") {
					runs++
				}
			}
			if runs != c.runs || !strings.Contains(all["release"].Detail, c.release) || all["probe-sandbox"].Detail != "by owner and mode the sandbox user cannot execute gatewayctl" {
				t.Errorf("%d containers, release %+v, probe-sandbox %+v", runs, all["release"], all["probe-sandbox"])
			}
		})
	}
}

func TestEngineFails(t *testing.T) {
	f := demo(t)
	for name, c := range map[string]struct {
		image, script, want string
	}{
		"no-such-image": {"demo", `case "$1" in image) echo "No such image: demo" >&2; echo more >&2; exit 1;; esac`, "No such image: demo"},
		"no-name":       {"--help", "", "it is no name of an image"},
		"save-fails":    {"demo", `case "$1" in save) cat saved; echo "no space" >&2; exit 1;; esac`, "save failed: no space"},
		"save-is-cut":   {"demo", `case "$1" in save) head -c 5000 saved; exit 0;; esac`, "unexpected EOF"},
		"cut-and-fails": {"demo", `case "$1" in save) head -c 5000 saved; echo "no space" >&2; exit 1;; esac`, "save failed: no space"},
		"killed":        {"demo", `case "$1" in save) kill -9 $$;; esac`, "save failed: exit code 137"},
	} {
		t.Run(name, func(t *testing.T) {
			r, err := Run(context.Background(), Saved(fakeEngine(t, f, c.script), c.image), f.options)
			if err == nil || !strings.HasPrefix(err.Error(), `cannot read image "`+c.image) || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "\n") {
				t.Errorf("got %+v, %v; want %q", r, err, c.want)
			}
		})
	}
}

// TestEngineProgramRuns checks that only a container that could be run decides.
func TestEngineProgramRuns(t *testing.T) {
	for name, c := range map[string]struct {
		script string
		change func(*fixture)
		bad    []string
		absent map[string]string
	}{
		"no-containers": {`case "$1" in run) echo "daemon: no" >&2; exit 125;; esac`, nil, nil,
			map[string]string{"release": "cannot run a container: daemon: no", "probe-sandbox": "gateway-init --version as the sandbox user"}},
		"sandbox-may": {`case "$*" in *9002:9002*gatewayctl*) exit 3;; esac`, nil, []string{"probe-sandbox"}, nil},
		"sandbox-cannot-anything": {`case "$*" in *9002:9002*) echo "permission denied" >&2; exit 126;; esac`, nil, []string{"release"},
			map[string]string{"probe-sandbox": "permission denied: so a refusal of gatewayctl would say nothing"}},
		"sandbox-not-tried": {`case "$*" in *9002:9002*gatewayctl*) echo no >&2; exit 125;; esac`, nil, nil, map[string]string{"probe-sandbox": "cannot run a container: no"}},
		"no-init":           {`case "$*" in *gateway-init*--version) exit 7;; esac`, nil, []string{"release"}, map[string]string{"probe-sandbox": "exit code 7"}},
		"says-nothing":      {`case "$*" in *gateway-init*--version) echo hello; exit 0;; esac`, nil, []string{"release"}, map[string]string{"probe-sandbox": "hello"}},
		"non-root":          {`case "$*" in *gatewayctl*version) echo gatewayctl 2.0; exit 0;; esac`, all(nonRoot, mode(ctlPath, 0o755)), []string{"release"}, nil},
		"non-root-no-program": {`case "$*" in *gatewayctl*version) echo "no such file" >&2; exit 127;; esac`, all(nonRoot, mode(ctlPath, 0o755)), []string{"probe-root"},
			map[string]string{"release": "see probe-root"}},
		"no-sandbox-user": {`case "$*" in *65534:65534*gateway-init*) echo gateway-init 1.0; exit 0;; *65534:65534*gatewayctl*) exit 126;; esac`,
			swap(passwdPath, "sandbox:x", "somebody:x"), []string{"users"}, map[string]string{"probe-sandbox": "there is no sandbox user"}},
	} {
		t.Run(name, func(t *testing.T) {
			f := demo(t)
			f.sums()
			if c.change != nil {
				c.change(f)
			}
			bad, all, r := result(t, Saved(fakeEngine(t, f, c.script), "demo"), f.options)
			if !slices.Equal(bad, c.bad) || r.OK {
				t.Errorf("failed %v, want %v", bad, c.bad)
			}
			for name, detail := range c.absent {
				if got := all[name]; got.Result != NotAvailable || got.OK() || !strings.Contains(got.Detail, detail) {
					t.Errorf("%s: %+v, want %q", name, got, detail)
				}
			}
		})
	}
}

func TestNewEngine(t *testing.T) {
	for name, c := range map[string]struct {
		env  []string
		want string
	}{
		"another-program": {[]string{"ENGINE=/bin/sh"}, "it is docker or podman"},
		"no-path":         {[]string{"ENGINE=podman"}, "cannot find podman in PATH"},
		"not-there":       {[]string{"ENGINE=", "PATH=/nowhere"}, "cannot find docker in PATH"},
	} {
		t.Run(name, func(t *testing.T) {
			if e, err := NewEngine(c.env); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %+v, %v", e, err)
			}
		})
	}
}

// TestProgram checks that a program that does not end is ended with the run, and
// that a program whose output is too long is not waited for.
func TestProgram(t *testing.T) {
	sh := func(script string) program {
		return program{path: "/bin/sh", args: []string{"sh", "-c", script}, env: []string{"A=b"}}
	}
	e, err := sh(`echo "$A"; pwd; cat; echo no >&2; exit 3`).run(context.Background())
	if err != nil || e.code != 3 || e.out != "b\n/\n" || e.errOut != "no" {
		t.Errorf("got %+v, %v", e, err)
	}
	e, err = sh(`kill -15 $$`).run(context.Background())
	if err != nil || e.code != 143 {
		t.Errorf("got %+v, %v", e, err)
	}
	e, err = sh(`head -c 300000 /dev/zero; head -c 300000 /dev/zero >&2`).run(context.Background())
	if err != nil || e.code != 0 || len(e.out) != maxOutput || len(e.errOut) != maxOutput {
		t.Errorf("got %d and %d bytes, %v", len(e.out), len(e.errOut), err)
	}
	stop := errors.New("enough")
	e, err = sh(`trap '' PIPE; head -c 300000 /dev/zero`).stream(context.Background(), func(r io.Reader) error {
		_, _ = io.ReadFull(r, make([]byte, 10))
		return stop
	})
	if err != stop || e.code == 0 {
		t.Errorf("got %+v, %v", e, err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	_, err = sh(`echo here; exec sleep 1000`).stream(ctx, func(r io.Reader) error {
		_, _ = io.ReadFull(r, make([]byte, 5))
		cancel()
		_, err := io.Copy(io.Discard, r)
		return err
	})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	if _, err := (program{path: "/nowhere"}).run(context.Background()); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("got %v", err)
	}
}
