// SPDX-License-Identifier: Apache-2.0

package plain

import (
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/gateway-init/gateway-init/internal/testenv"
)

const none = "0000000000000000"

// TestUser does gosu's job: ids, groups of /etc/group, HOME, and no process in
// between.
func TestUser(t *testing.T) {
	for spec, want := range map[string]struct{ uid, gid, groups, home string }{
		"nobody":      {"65534", "65534", "65534", "/nonexistent"},
		"nobody:mail": {"65534", "8", "8", "/nonexistent"},
		"65534:12345": {"65534", "12345", "12345", "/nonexistent"},
		"54321:54322": {"54321", "54322", "54322", "/"},
	} {
		t.Run(spec, func(t *testing.T) {
			out, code := output(t, how{env: []string{"HOME=/root", "OTHER=a b"}}, "--user", spec, "--", "sh", "-c", `cat /proc/self/status; echo "Home: $HOME"; echo "Other: $OTHER"; echo "Parent: $PPID"`)
			f := fields(out)
			four := func(id string) string { return strings.Join([]string{id, id, id, id}, " ") }
			if code != 0 || f["Uid"] != four(want.uid) || f["Gid"] != four(want.gid) || f["Groups"] != want.groups || f["Home"] != want.home || f["Other"] != "a b" {
				t.Errorf("exit code %d: uid %s, gid %s, groups %s, home %s, other %s", code, f["Uid"], f["Gid"], f["Groups"], f["Home"], f["Other"])
			}
			if f["CapEff"] != none || f["CapPrm"] != none {
				t.Errorf("capabilities %s", f["CapEff"])
			}
			if f["Parent"] != "1" || f["NoNewPrivs"] != "0" {
				t.Errorf("its parent is %s, no_new_privs is %s without being asked for", f["Parent"], f["NoNewPrivs"])
			}
		})
	}
}

// TestUserRefused checks that no program runs if the user cannot be changed.
func TestUserRefused(t *testing.T) {
	r := start(t, how{beside: true, sys: func(a *syscall.SysProcAttr) {
		a.Credential = &syscall.Credential{Uid: testenv.Stranger, Gid: testenv.Stranger}
	}}, "-s", "--user", "nobody", "--", "echo", "ran")
	if code := r.ended(); code != 1 || !strings.Contains(r.stderr(), "setgroups") || r.stdout() != "" {
		t.Errorf("exit code %d", code)
	}
}

// TestUserThatWeAre checks that --user of the user that we are already runs, without any
// right: with all the right ids, and with a group that the engine added (fsGroup). A
// group that --user names must be there.
func TestUserThatWeAre(t *testing.T) {
	as := func(groups ...uint32) how {
		return how{beside: true, sys: func(a *syscall.SysProcAttr) {
			a.Credential = &syscall.Credential{Uid: 65534, Gid: groups[0], Groups: groups}
		}}
	}
	for name, c := range map[string]struct {
		h      how
		spec   string
		groups string
	}{
		"same":          {as(65534), "nobody", "65534"},
		"same-numbers":  {as(65534), "65534:65534", "65534"},
		"engine-groups": {as(65534, 4242), "nobody", "4242 65534"},
		"engine-gid":    {as(77), "nobody", "77"},
		"other-group":   {as(77), "nobody:65534", ""},
	} {
		r := start(t, c.h, "-s", "--user", c.spec, "--drop-caps", "--", "sh", "-c", `cat /proc/self/status; echo "Home: $HOME"`)
		code, f := r.ended(), fields(r.stdout())
		switch {
		case c.groups == "":
			if code != 1 || !strings.HasPrefix(r.stderr(), `gateway-init: error: cannot become "nobody:65534" (--user): setgroups: operation not permitted: run the container as root`) {
				t.Errorf("%s: exit code %d, stderr %q", name, code, r.stderr())
			}
		case code != 0 || f["Groups"] != c.groups || f["Home"] != "/nonexistent" || r.stderr() != "":
			t.Errorf("%s: exit code %d, groups %s, home %s, stderr %q", name, code, f["Groups"], f["Home"], r.stderr())
		}
	}
}

// TestUserDropsEngineGroups checks that one line names the groups of the engine that the
// command does not get.
func TestUserDropsEngineGroups(t *testing.T) {
	h := how{sys: func(a *syscall.SysProcAttr) { a.Credential = &syscall.Credential{Groups: []uint32{0, 4242, 8}} }}
	for spec, want := range map[string]string{"nobody": "groups 8 4242:", "nobody:4242": "groups 8:", "1000:8": "groups 4242:"} {
		r := start(t, h, "--user", spec, "--", "true")
		if code := r.ended(); code != 0 || strings.Count(r.stderr(), "\n") != 1 || !strings.Contains(r.stderr(), want) {
			t.Errorf("%s: exit code %d, stderr %q, want %q in it", spec, code, r.stderr(), want)
		}
	}
}

// TestDropCaps does setpriv's job. All five sets are empty and cannot be regained,
// for root and for others, and without the right to lower the bounding set.
func TestDropCaps(t *testing.T) {
	check := func(what string, f map[string]string, bounding bool) {
		t.Helper()
		for _, set := range []string{"CapInh", "CapPrm", "CapEff", "CapAmb", "CapBnd"} {
			if f[set] != none && (set != "CapBnd" || bounding) {
				t.Errorf("%s: %s is %s", what, set, f[set])
			}
		}
		if f["NoNewPrivs"] != "1" {
			t.Errorf("%s: no_new_privs is %s", what, f["NoNewPrivs"])
		}
	}
	cat := []string{"cat", "/proc/self/status"}
	root, _ := output(t, how{}, append([]string{"--drop-caps"}, cat...)...)
	check("root", fields(root), true)
	user, _ := output(t, how{}, append([]string{"--drop-caps", "--user", "nobody"}, cat...)...)
	check("nobody", fields(user), true)
	ambient := how{sys: func(a *syscall.SysProcAttr) { a.AmbientCaps = []uintptr{unix.CAP_CHOWN, unix.CAP_SETPCAP} }}
	with, _ := output(t, ambient, append([]string{"--drop-caps"}, cat...)...)
	check("ambient", fields(with), true)
	without := how{beside: true, sys: func(a *syscall.SysProcAttr) {
		a.Credential = &syscall.Credential{Uid: testenv.Stranger, Gid: testenv.Stranger}
	}}
	got, _ := output(t, without, append([]string{"-s", "--drop-caps"}, cat...)...)
	check("no CAP_SETPCAP", fields(got), false)
}

// TestEnvironment checks that the environment is passed on unchanged.
func TestEnvironment(t *testing.T) {
	got, _ := output(t, how{before: []string{"env", "-i", "A=1", "B=x y=z", "C="}}, "/usr/bin/env")
	if got != "A=1\nB=x y=z\nC=\n" {
		t.Errorf("%q", got)
	}
	// Without PATH, the C library's default is used.
	if _, code := output(t, how{before: []string{"env", "-i"}}, "true"); code != 0 {
		t.Errorf("no PATH: exit code %d", code)
	}
}

// TestPlace checks that the command has our directory, descriptors, umask and
// session, its own process group, and us as its parent.
func TestPlace(t *testing.T) {
	const script = `pwd; umask; ls /proc/self/fd | tr '\n' ' '; echo; cut -d' ' -f6 /proc/self/stat; echo $PPID; cut -d' ' -f5 /proc/self/stat; echo $$`
	before := []string{"sh", "-c", `cd /usr/bin; umask 027; exec 7</dev/null; exec "$0" "$@"`}
	out, _ := output(t, how{before: before}, "sh", "-c", script)
	direct, err := exec.Command(before[0], append(before[1:], "sh", "-c", script)...).Output()
	testenv.Must(t, err)
	got, want := strings.Split(out, "\n"), strings.Split(string(direct), "\n")
	if !slices.Equal(got[:3], want[:3]) || !strings.Contains(got[2], " 7 ") {
		t.Errorf("directory, umask and descriptors are %q, without us %q", got[:3], want[:3])
	}
	if got[3] != want[3] || got[4] != "1" || got[5] == want[5] {
		t.Errorf("session %s (without us %s), parent %s, group %s (without us %s)", got[3], want[3], got[4], got[5], want[5])
	}
}

// TestClosed starts us without any descriptor, as an engine may.
func TestClosed(t *testing.T) {
	path := t.TempDir() + "/out"
	_, code := output(t, how{before: []string{"bash", "-c", `exec <&- >&- 2>&-; exec "$0" "$@"`}}, "-vvv", "sh", "-c", "echo ran >"+path+"; exit 3")
	if data, err := os.ReadFile(path); code != 3 || err != nil || string(data) != "ran\n" {
		t.Errorf("exit code %d, %q, %v", code, data, err)
	}
}

// TestBrokenPipe checks that we survive the exit of the reader of our messages. The
// command gets no signal because of it.
func TestBrokenPipe(t *testing.T) {
	_, self := listener(t)
	r, w, err := os.Pipe()
	testenv.Must(t, err)
	r.Close()
	defer w.Close()
	run := start(t, how{env: []string{"PLAIN_TEST=listen"}, before: []string{"sh", "-c", `exec "$0" "$@" 2>&3`},
		files: []*os.File{w}}, "-vvv", self)
	run.waitFor("ready")
	run.signal(int(unix.SIGUSR1))
	run.waitFor("got 10\n")
	run.signal(int(unix.SIGPIPE)) // this SIGPIPE was sent, so it is forwarded
	run.waitFor("got 13\n")
	if n := strings.Count(run.stdout(), "got 13\n"); n != 1 {
		t.Errorf("%d SIGPIPE", n)
	}
}
