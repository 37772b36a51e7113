package verify

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"gatewayinit/internal/testenv"
)

// fakeEngine is a command docker with the fixture as image "demo". What it does
// beyond that, and what its containers say, is shell.
func fakeEngine(t *testing.T, f *fixture, script string) Engine {
	t.Helper()
	bin := t.TempDir()
	testenv.Must(t, os.WriteFile(bin+"/saved", f.legacy(t), 0o644))
	text := "#!/bin/sh\ncd " + bin + "\necho \"$@\" >>calls\n" + script + `
case "$*" in
"image inspect --format {{.Id}} demo") echo sha256:11 ;;
"save sha256:11") cat saved ;;
run*"--user 0:0 --entrypoint /usr/local/sbin/gateway-init sha256:11 --version") echo gateway-init 1.0 ;;
run*"--user 0:0 --entrypoint /usr/local/bin/gatewayctl sha256:11 version") echo gatewayctl 1.0 ;;
run*"--user 9002:9002 --entrypoint /usr/local/sbin/gateway-init sha256:11 --version") echo gateway-init 1.0 ;;
run*"--user 9002:9002 --entrypoint /usr/local/bin/gatewayctl sha256:11 version")
	echo 'exec: "/usr/local/bin/gatewayctl": permission denied' >&2; exit 126 ;;
*) echo "unexpected: $*" >&2; exit 99 ;;
esac
`
	testenv.Must(t, os.WriteFile(bin+"/docker", []byte(text), 0o755))
	e, err := NewEngine([]string{"PATH=/nowhere:" + bin + ":/usr/bin:/bin", "DOCKER_HOST=the-callers"})
	testenv.Must(t, err)
	return e
}

func TestEngine(t *testing.T) {
	f := demo(t)
	e := fakeEngine(t, f, `echo "$DOCKER_HOST" >>calls`)
	bad, all, r := result(t, Saved(e, "demo"), f.options)
	if !r.OK {
		t.Errorf("failed %v, %+v", bad, all)
	}
	for name, c := range all {
		if c.Result != Held && name != "token-bytes" {
			t.Errorf("%s: %+v", name, c)
		}
	}
	calls, err := os.ReadFile(filepath.Dir(e.path) + "/calls")
	testenv.Must(t, err)
	lines := strings.Split(strings.TrimSpace(string(calls)), "\n")
	if len(lines) != 12 || lines[1] != "the-callers" || strings.Count(string(calls), "demo") != 1 {
		t.Errorf("called %q", lines)
	}
	for _, flag := range []string{"--rm", "--network none", "--read-only", "--cap-drop ALL", "--security-opt no-new-privileges"} {
		if !strings.Contains(lines[4], flag) {
			t.Errorf("a container is run without %s: %s", flag, lines[4])
		}
	}
}

func TestEngineFails(t *testing.T) {
	f := demo(t)
	for name, c := range map[string]struct {
		image, script, want string
	}{
		"no-such-image": {"demo", `case "$1" in image) echo "No such image: demo" >&2; echo more >&2; exit 1;; esac`, "No such image: demo"},
		"no-name":       {"--help", "", "it is no name of an image"},
		"save-fails":    {"demo", `case "$1" in save) cat saved; echo "no space" >&2; exit 1;; esac`, "save: no space: it failed"},
		"save-is-cut":   {"demo", `case "$1" in save) head -c 5000 saved; exit 0;; esac`, "unexpected EOF"},
		"killed":        {"demo", `case "$1" in save) kill -9 $$;; esac`, "it failed"},
	} {
		t.Run(name, func(t *testing.T) {
			r, err := Run(context.Background(), Saved(fakeEngine(t, f, c.script), c.image), f.options)
			if err == nil || !strings.HasPrefix(err.Error(), `cannot read image "`+c.image) || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %+v, %v; want %q", r, err, c.want)
			}
		})
	}
}

// What a container says decides; a container that could not be run decides nothing.
func TestEngineTrials(t *testing.T) {
	f := demo(t)
	for name, c := range map[string]struct {
		script string
		bad    []string
		absent map[string]string
	}{
		"no-containers": {`case "$1" in run) echo "daemon: no" >&2; exit 125;; esac`, nil,
			map[string]string{"release": "cannot run a container: daemon: no", "probe-root": "daemon: no", "probe-sandbox": "gateway-init --version as the sandbox user"}},
		"sandbox-may": {`case "$*" in *9002:9002*gatewayctl*) exit 3;; esac`, []string{"probe-sandbox"}, nil},
		"sandbox-cannot-anything": {`case "$*" in *9002:9002*) echo "permission denied" >&2; exit 126;; esac`, nil,
			map[string]string{"probe-sandbox": "permission denied: so a refusal of gatewayctl would say nothing"}},
		"sandbox-not-tried": {`case "$*" in *9002:9002*gatewayctl*) echo no >&2; exit 125;; esac`, nil, map[string]string{"probe-sandbox": "cannot run a container: no"}},
		"no-program":        {`case "$*" in *gatewayctl*version) echo "no such file" >&2; exit 127;; esac`, []string{"probe-root", "probe-sandbox"}, map[string]string{"release": "see probe-root"}},
		"no-init":           {`case "$*" in *0:0*gateway-init*) exit 7;; esac`, []string{"release"}, nil},
		"says-nothing":      {`case "$*" in *0:0*gatewayctl*) echo hello; exit 0;; esac`, []string{"probe-root"}, map[string]string{"release": "see probe-root"}},
	} {
		t.Run(name, func(t *testing.T) {
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

// A program that does not end is ended with the run, and one that says more than
// anybody reads is not waited for.
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
	if err != nil || e.code != 0 || len(e.out) != maxSaid || len(e.errOut) != maxSaid {
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
