// SPDX-License-Identifier: Apache-2.0

package client

import (
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/gateway-init/gateway-init/internal/testenv"
)

// TestEnvironment checks that the environment is not inherited, and has one token.
func TestEnvironment(t *testing.T) {
	if !mountHome(t) {
		return
	}
	base := []string{"PATH=" + searchPathHere(t), "HOME=/mnt/home", "USER=op", "LOGNAME=op", "SHELL=/bin/sh", "LANG=C.UTF-8",
		"TMPDIR=/mnt/home/.gatewayctl-tmp"}
	caller := []string{"LD_PRELOAD=/evil.so", "NODE_OPTIONS=-r /evil", "PATH=/evil", "HOME=/evil", "TZ=UTC", "TOKEN=preset", "TERM=xterm",
		"COLORTERM=truecolor", "FOO=1", "DOCKER_HOST=x", "TMPDIR=/tmp"}
	for name, c := range map[string]struct {
		env, pass, caller, want []string
	}{
		"nothing-of-the-caller": {nil, nil, caller, base},
		"env":                   {[]string{"A=b=c", "NODE_OPTIONS=--x"}, nil, caller, append(slices.Clone(base), "A=b=c", "NODE_OPTIONS=--x")},
		"passed":                {nil, []string{"TZ", "NOT_THERE"}, caller, append(slices.Clone(base), "TZ=UTC")},
		"token-passed":          {nil, []string{"TOKEN"}, caller, base},
		"env-wins":              {[]string{"HOME=/srv", "TMPDIR=/x"}, nil, nil, nil},
		"no-color":              {nil, nil, []string{"NO_COLOR=\x1b[31m"}, append(slices.Clone(base), "NO_COLOR=1")},
		"no-color-empty":        {nil, nil, []string{"NO_COLOR="}, base},
	} {
		t.Run(name, func(t *testing.T) {
			if c.want == nil {
				c.want = slices.Clone(base)
				c.want[1], c.want[6] = "HOME=/srv", "TMPDIR=/x"
			}
			o := order{Argv: []string{"cat", "/proc/self/environ"}, Home: "/mnt/home", Env: c.env, PassEnv: c.pass, Caller: c.caller}
			got := strings.Split(strings.TrimSuffix(must(t, o), "\x00"), "\x00")
			i := slices.IndexFunc(got, func(kv string) bool { return regexp.MustCompile(`^TOKEN=[0-9a-f]{64}$`).MatchString(kv) })
			if i < 0 {
				t.Fatalf("no token in %q", got)
			}
			if got = slices.Delete(got, i, i+1); !sameSet(got, c.want) {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}

// searchPathHere returns the directories of the default PATH that this machine has.
func searchPathHere(t *testing.T) string {
	t.Helper()
	path, left := searchPath(op)
	if len(left) > 0 {
		t.Fatalf("left out: %q", left)
	}
	return path
}

func sameSet(a, b []string) bool {
	a, b = slices.Sorted(slices.Values(a)), slices.Sorted(slices.Values(b))
	return slices.Equal(a, b)
}

// TestLook checks that TERM and COLORTERM come from the caller only on a terminal,
// and only if they are names.
func TestLook(t *testing.T) {
	for name, c := range map[string]struct {
		tty        bool
		term, want string
	}{
		"terminal":    {true, "xterm-256color", "xterm-256color"},
		"dots":        {true, "screen.xterm_x+1", "screen.xterm_x+1"},
		"no-terminal": {false, "xterm", ""},
		"path":        {true, "../../tmp/evil", ""},
		"escape":      {true, "x\x1b", ""},
		"empty":       {true, "", ""},
		"long":        {true, strings.Repeat("x", 65), ""},
		"longest":     {true, strings.Repeat("x", 64), strings.Repeat("x", 64)},
	} {
		t.Run(name, func(t *testing.T) {
			o := order{Caller: []string{"TERM=" + c.term, "COLORTERM=" + c.term}, TTY: c.tty}
			p := &Plan{Spec: o.spec()}
			p.look()
			for _, variable := range []string{"TERM", "COLORTERM"} {
				if got, _ := p.base.Value(variable); got != c.want {
					t.Errorf("%s is %q, want %q", variable, got, c.want)
				}
			}
		})
	}
}

// TestProcess asks the kernel which properties of this process the client has.
func TestProcess(t *testing.T) {
	if !mountHome(t) {
		return
	}
	none := "0000000000000000"
	lines := must(t, order{Argv: []string{"cat", "/proc/self/status"}, Home: "/mnt/home"})
	for field, want := range map[string]string{
		"Uid": ids(op), "Gid": ids(op), "Groups": fmt.Sprintf("%d %d", op, op+1), "Umask": "0077", "NoNewPrivs": "1",
		"CapInh": none, "CapPrm": none, "CapEff": none, "CapBnd": none, "CapAmb": none, "SigBlk": none, "SigIgn": none,
	} {
		got := regexp.MustCompile(`(?m)^` + field + `:\t(.*?) ?$`).FindStringSubmatch(lines)
		if got == nil || strings.ReplaceAll(got[1], "\t", " ") != want {
			t.Errorf("%s is %q, want %q", field, got, want)
		}
	}
	for name, c := range map[string]struct{ script, want string }{
		"descriptors": {`exec ls /proc/self/fd`, "0\n1\n2\n3\n"}, // 3 is the directory that ls reads
		"pipes":       {`for i in 0 1 2; do readlink /proc/$$/fd/$i; done | sed 's/:.*//' | uniq`, "pipe\n"},
		"blocking":    {`for i in 0 1 2; do grep flags /proc/$$/fdinfo/$i; done`, "flags:\t00\nflags:\t01\nflags:\t01\n"},
		"core":        {`grep core /proc/self/limits | tr -s ' '`, "Max core file size 1 1 bytes \n"},
		"oom":         {`cat /proc/self/oom_score_adj`, "1000\n"},
		"session":     {`[ "$(cut -d' ' -f6 /proc/$$/stat)" = $$ ] && echo leader`, "leader\n"},
		"no-terminal": {`(: </dev/tty) 2>/dev/null || echo none`, "none\n"},
		"home":        {`pwd; stat -c '%a %u' . $TMPDIR`, "/mnt/home\n" + fmt.Sprintf("700 %d\n700 %d\n", op, op)},
	} {
		t.Run(name, func(t *testing.T) {
			if got := must(t, shell(c.script)); got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
	o := shell("pwd")
	if o.Dir = "/"; must(t, o) != "/\n" {
		t.Error("--dir has no effect")
	}
}

func ids(id int) string { return strings.TrimSpace(strings.Repeat(fmt.Sprint(id)+" ", 4)) }

// TestConfine checks that nothing is started without the rights that this needs,
// and that a note lists the rights that could not be given up.
func TestConfine(t *testing.T) {
	if !mountHome(t) {
		return
	}
	const all = 1<<unix.CAP_SETUID | 1<<unix.CAP_SETGID | 1<<unix.CAP_KILL
	for name, c := range map[string]struct {
		caps   uint64
		code   int
		stderr string
	}{
		"no-kill":    {all &^ (1 << unix.CAP_KILL), failedToRun, "has not SETUID, SETGID and KILL"},
		"no-setpcap": {all, 0, "the bounding set is not empty"},
		"readme":     {all | 1<<unix.CAP_SETPCAP, 0, ""},
	} {
		t.Run(name, func(t *testing.T) {
			o := shell("echo ran")
			o.Caps = &c.caps
			code, out, stderr := output(t, o)
			if code != c.code || (out == "ran\n") != (code == 0) || !strings.Contains(stderr, c.stderr) || c.stderr == "" && stderr != "" {
				t.Errorf("code %d, stdout %q, stderr %q", code, out, stderr)
			}
		})
	}
}

// TestDriverKeepsOnlyKill checks the rights of the relay while a client runs.
func TestDriverKeepsOnlyKill(t *testing.T) {
	if !mountHome(t) {
		return
	}
	script := `d=$(cut -d' ' -f4 /proc/$$/stat); grep -h -e CapPrm -e CapEff -e CapBnd /proc/$d/task/*/status | sort -u; cat /proc/$d/oom_score_adj`
	want := "CapBnd:\t0000000000000000\nCapEff:\t0000000000000020\nCapPrm:\t0000000000000020\n"
	before, err := os.ReadFile("/proc/self/oom_score_adj")
	testenv.Must(t, err)
	testenv.Eventually(t, "the relay to have given up the rest", func() bool { return must(t, shell(script)) == want+string(before) })
}
