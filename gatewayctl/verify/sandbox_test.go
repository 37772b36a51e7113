// SPDX-License-Identifier: Apache-2.0

package verify

import (
	"context"
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/gateway-init/gateway-init/internal/testenv"
	"github.com/gateway-init/gateway-init/internal/users"
)

// reachable makes a folder that every user can reach, with a mode.
func reachable(t *testing.T, mode uint32) string {
	t.Helper()
	dir := t.TempDir()
	for at := dir; at != "/tmp" && at != "/"; at = filepath.Dir(at) {
		testenv.Must(t, os.Chmod(at, 0o755))
	}
	testenv.Must(t, unix.Chmod(dir, mode))
	return dir
}

// TestUnknownProgramsAreNotRun is for an old bug. A tree's programs were run as root, in
// a chroot that is easily left, whatever the checks before had found. Now a program runs
// only if its hash was given. The control is the same tree with the hashes.
func TestUnknownProgramsAreNotRun(t *testing.T) {
	for name, c := range map[string]struct {
		hashes  func(*fixture)
		made    bool
		release string
	}{
		"no-hash": {func(f *fixture) { f.options.Sums = nil }, false, "--expect-sha256 gateway-init=HEX runs it"},
		"another-hash": {func(f *fixture) {
			for n := range f.options.Sums {
				f.options.Sums[n] = strings.Repeat("0", 64)
			}
		}, false, "see hashes"},
		"known-hash":     {func(*fixture) {}, true, "both are 1.0"},
		"gatewayctl-too": {func(f *fixture) { delete(f.options.Sums, "gateway-init") }, true, "--expect-sha256 gateway-init=HEX runs it"},
	} {
		t.Run(name, func(t *testing.T) {
			testenv.Root(t)
			open, closed := reachable(t, 0o1777), reachable(t, 0o755)
			f := demo(t)
			f.runs = true
			for _, program := range []string{"gateway-init", "gatewayctl"} {
				f.base()["/etc/order-for-"+program] = file(0o644, "mark "+open+" "+closed)
			}
			root := f.write(t)
			c.hashes(f)
			_, all, r := result(t, Root(root), f.options)
			if got := all["release"]; !strings.Contains(got.Detail, c.release) || r.OK != (name != "another-hash") {
				t.Errorf("ok %v, release %+v", r.OK, got)
			}
			st, err := os.Stat(open + "/marker")
			if (err == nil) != c.made {
				t.Errorf("the program wrote %v, %v", st, err)
			}
			if _, err := os.Stat(closed + "/marker"); err == nil {
				t.Error("the program wrote with the rights of root")
			}
			if _, err := os.Stat(root + "/x"); err == nil {
				t.Error("the program changed the tree")
			}
			if !c.made || err != nil {
				return
			}
			var owner unix.Stat_t
			testenv.Must(t, unix.Stat(open+"/marker", &owner))
			if owner.Uid != nobodyID || owner.Size != 0 {
				t.Errorf("the marker is of uid %d and has %d bytes", owner.Uid, owner.Size)
			}
		})
	}
}

// parseReport returns the values that a program printed, by name.
func parseReport(t *testing.T, o outcome) map[string]string {
	t.Helper()
	if o.not != nil || o.err != nil || o.code != 0 {
		t.Fatalf("not run: %+v", o)
	}
	all := map[string]string{}
	for _, word := range strings.Fields(o.out) {
		name, value, _ := strings.Cut(word, "=")
		all[name] = value
	}
	return all
}

func wantValues(t *testing.T, got, want map[string]string) {
	t.Helper()
	for name, value := range want {
		if got[name] != value {
			t.Errorf("%s is %q, want %q", name, got[name], value)
		}
	}
}

const noCaps = "0000000000000000"

// TestSandbox checks the rights and resources of a program of a tree while it runs.
func TestSandbox(t *testing.T) {
	f := demo(t)
	f.runs = true
	f.base()["/etc/order-for-gateway-init"] = file(0o644, "tell")
	root := f.write(t)
	got := parseReport(t, rootSource{root}.sealed(context.Background(), &inspection{options: f.options}, initPath))
	pipes := 0 // stdout and stderr; the other descriptors belong to Go's runtime
	for word := range got {
		if strings.HasPrefix(word, "fd:pipe:") {
			pipes++
		}
		if strings.HasPrefix(word, "fd:/memfd") {
			t.Errorf("it has its own program open: %v", got)
		}
	}
	if pipes != 2 {
		t.Errorf("it has %d pipes: %v", pipes, got)
	}
	wantValues(t, got, map[string]string{
		"Uid": "65534,65534,65534,65534", "Gid": "65534,65534,65534,65534", "Groups": "", "CapInh": noCaps, "CapPrm": noCaps, "CapEff": noCaps,
		"CapBnd": noCaps, "CapAmb": noCaps, "NoNewPrivs": "1", "as": "4294967296/4294967296", "cpu": "5/5", "fsize": "0/0", "nofile": "64/64",
		"nproc": "64/64", "core": "1/1", "env": "0", "pid": "1",
	})
	for _, kind := range []string{"user", "pid", "mnt", "net", "ipc", "uts"} {
		own, err := os.Readlink("/proc/self/ns/" + kind)
		testenv.Must(t, err)
		if _, same := got[own]; same || !strings.Contains(fmt.Sprint(got), kind+":[") {
			t.Errorf("it has our %s namespace: %v", kind, got)
		}
	}
}

// findProcesses returns the processes with a word in their command line.
func findProcesses(t *testing.T, word string) (pids []string) {
	t.Helper()
	files, err := filepath.Glob("/proc/[0-9]*/cmdline")
	testenv.Must(t, err)
	for _, name := range files {
		if data, err := os.ReadFile(name); err == nil && strings.Contains(string(data), word) {
			pids = append(pids, filepath.Base(filepath.Dir(name)))
		}
	}
	return pids
}

// TestSandboxEnds checks that a program that does not end is killed with all its
// descendants, also with one in another session that holds the output open.
func TestSandboxEnds(t *testing.T) {
	word := fmt.Sprintf("hang-of-%d", os.Getpid())
	f := demo(t)
	f.runs = true
	f.base()["/etc/order-for-gateway-init"] = file(0o644, "hang "+word)
	root := f.write(t)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan outcome, 1)
	go func() { done <- rootSource{root}.sealed(ctx, &inspection{options: f.options}, initPath) }()
	testenv.Eventually(t, "its child lives", func() bool { return len(findProcesses(t, word)) > 0 })
	cancel()
	if o := <-done; o.err != context.Canceled {
		t.Errorf("got %+v", o)
	}
	testenv.Eventually(t, "none of it lives", func() bool { return len(findProcesses(t, word)) == 0 })

	o := program{path: "/bin/sh", args: []string{"sh", "-c", "sleep 1000"}, attr: runProgramOf("", 0, 0, "", nil).attr}.try(context.Background(), 50*time.Millisecond)
	if o.err == nil || !strings.Contains(o.err.Error(), "did not end within 50ms and was killed") {
		t.Errorf("got %+v", o)
	}
}

// TestSandboxRefuses checks that a file that cannot be run is refused with a reason.
func TestSandboxRefuses(t *testing.T) {
	root := t.TempDir()
	dir := root + filepath.Dir(initPath)
	testenv.Root(t)
	testenv.Must(t, os.MkdirAll(dir, 0o755))
	text := []byte("not a program")
	sum := fmt.Sprintf("%x", sha256.Sum256(text))
	at := root + initPath
	for name, c := range map[string]struct {
		make func()
		code int
		says string
	}{
		"missing": {func() {}, 0, "cannot copy /usr/local/sbin/gateway-init"},
		"folder":  {func() { testenv.Must(t, os.Mkdir(at, 0o755)) }, 0, "is a directory, not a regular file"},
		"fifo":    {func() { testenv.Must(t, unix.Mkfifo(at, 0o755)) }, 0, "is a FIFO, not a regular file"},
		"link":    {func() { testenv.Must(t, os.Symlink("/bin/sh", at)) }, 0, "cannot copy"},
		"large":   {func() { testenv.Must(t, os.WriteFile(at, nil, 0o755)); testenv.Must(t, os.Truncate(at, maxProgram+1)) }, 0, "it is larger than"},
		"text":    {func() { testenv.Must(t, os.WriteFile(at, text, 0o755)) }, cannotFind, "exec format error"},
	} {
		t.Run(name, func(t *testing.T) {
			testenv.Must(t, os.RemoveAll(at))
			c.make()
			s := &inspection{options: Options{Sums: map[string]string{"gateway-init": sum}}}
			o := rootSource{root}.sealed(context.Background(), s, initPath)
			if o.code != c.code || !strings.Contains(o.complaint(), c.says) || o.version("gateway-init") != "" {
				t.Errorf("got %+v: %s, want %q", o, o.complaint(), c.says)
			}
		})
	}
	for _, args := range [][]string{nil, {"x"}, {inImage, "x", "0", "/bin/true", "true"}, {inImage, "0", "-1", "/bin/true", "true"}} {
		o := program{path: "/proc/self/exe", args: append([]string{"x", ProgramRunArg}, args...), attr: runProgramOf("", 0, 0, "", nil).attr}.try(context.Background(), programTimeout)
		if o.err == nil || !strings.Contains(o.err.Error(), "cannot run it without rights: ") {
			t.Errorf("%q: got %+v", args, o)
		}
	}
}

// checkRefused checks an image after refuse, which must prevent the program runs.
func checkRefused(t *testing.T, says string, refuse func()) {
	t.Helper()
	f := demo(t)
	f.runs = true
	root := f.write(t)
	refuse()
	bad, all, r := result(t, Root(root), f.options)
	if len(bad) != 0 || r.OK {
		t.Errorf("failed %v, ok %v", bad, r.OK)
	}
	for _, name := range []string{"release", "probe-root"} {
		if c := all[name]; c.Result != NotAvailable || c.OK() || !strings.Contains(c.Detail, says) {
			t.Errorf("%s: %+v, want %q", name, c, says)
		}
	}
}

// TestCannotConfine checks that a program is not run if its rights cannot be given up.
func TestCannotConfine(t *testing.T) {
	if testenv.Inside(t, 0) {
		checkRefused(t, "cannot run it without rights: setgroups: operation not permitted", func() { testenv.Refuse(t, unix.EPERM, unix.SYS_SETGROUPS) })
	}
}

func TestCannotDrop(t *testing.T) {
	if testenv.Inside(t, 0) {
		checkRefused(t, "cannot run it without rights: capabilities: ", func() { testenv.Refuse(t, unix.EPERM, unix.SYS_CAPSET) })
	}
}

// TestCannotMakeNamespaces runs in a chroot, where the kernel makes no user namespace.
func TestCannotMakeNamespaces(t *testing.T) {
	if testenv.Inside(t, unix.CLONE_NEWNS) {
		checkRefused(t, "operation not permitted", func() {
			testenv.Must(t, unix.Mount("/", "/mnt", "", unix.MS_BIND|unix.MS_REC, ""))
			testenv.Must(t, unix.Chroot("/mnt"))
		})
	}
}

// TestInsideTheImage checks the tree "/", whose gatewayctl is this program.
func TestInsideTheImage(t *testing.T) {
	if !testenv.Inside(t, unix.CLONE_NEWNS) {
		return
	}
	f := demo(t)
	f.runs = true
	f.base()["/etc/order-for-gateway-init"] = file(0o644, "tell")
	mode(initPath, 0o755)(f) // its own user reads its trailer
	f.base()["/proc"], f.base()["/dev"] = dir(0o755, 0), dir(0o755, 0)
	f.base()["/dev/null"] = entry{kind: character, mode: 0o666}
	root := f.write(t)
	testenv.Must(t, os.Remove(root+"/dev/null"))
	testenv.Must(t, unix.Mknod(root+"/dev/null", unix.S_IFCHR|0o666, int(unix.Mkdev(1, 3))))
	testenv.Must(t, unix.Mount("proc", root+"/proc", "proc", 0, ""))
	own := f.options.Sums
	testenv.Must(t, unix.Chroot(root))
	testenv.Must(t, os.Chdir("/"))

	f.options.Sums = map[string]string{"gatewayctl": own["gatewayctl"]}
	_, all, _ := result(t, Root("/"), f.options)
	for name, want := range map[string]string{
		"release": "gateway-init is Uid=9002", "probe-root": "gatewayctl runs, and root can execute it", "probe-sandbox": "the kernel refuses gatewayctl to the sandbox user",
	} {
		if got := all[name]; !strings.HasPrefix(got.Detail, want) {
			t.Errorf("%s: %+v, want %q", name, got, want)
		}
	}
	wantValues(t, parseReport(t, runProgramOf(inImage, 9002, 9002, initPath, nil).try(context.Background(), programTimeout)), map[string]string{
		"Uid": "9002,9002,9002,9002", "Groups": "", "CapPrm": noCaps, "CapEff": noCaps, "CapInh": noCaps, "CapBnd": noCaps, "NoNewPrivs": "1", "fsize": "0/0", "env": "0",
	})
	for name, c := range map[string]struct {
		sums   map[string]string
		change func()
		want   map[string]string
	}{
		"unknown-gatewayctl": {nil, func() {}, map[string]string{"probe-root": "see hashes"}},
		"another-init":       {map[string]string{"gatewayctl": own["gatewayctl"], "gateway-init": noCaps}, func() {}, map[string]string{"release": "see hashes", "probe-root": "gatewayctl runs"}},
		"for-everybody":      {own, func() { testenv.Must(t, os.Chmod(ctlPath, 0o755)) }, map[string]string{"probe-sandbox": "the sandbox user can execute gatewayctl (exit code 0)"}},
		"closed-folder":      {own, func() { testenv.Must(t, os.Chmod("/usr/local/sbin", 0o700)) }, map[string]string{"probe-sandbox": "gateway-init --version as the sandbox user: permission denied"}},
		"no-sandbox-user":    {own, func() { testenv.Must(t, os.WriteFile(passwdPath, nil, 0o644)) }, map[string]string{"release": "there is no sandbox user", "probe-sandbox": "there is no sandbox user"}},
	} {
		t.Run(name, func(t *testing.T) {
			passwd, err := os.ReadFile(passwdPath)
			testenv.Must(t, err)
			c.change()
			defer func() {
				testenv.Must(t, os.Chmod(ctlPath, 0o700))
				testenv.Must(t, os.Chmod("/usr/local/sbin", 0o755))
				testenv.Must(t, os.WriteFile(passwdPath, passwd, 0o644))
			}()
			f.options.Sums = c.sums
			_, all, r := result(t, Root("/"), f.options)
			for check, want := range c.want {
				if got := all[check]; !strings.HasPrefix(got.Detail, want) || r.OK {
					t.Errorf("%s: %+v, want %q", check, got, want)
				}
			}
		})
	}
}

// TestLets checks modes as the kernel does for a user without capabilities.
func TestLets(t *testing.T) {
	u := users.User{UID: 9002, GID: 9002, Groups: []uint32{9002, 44}}
	for name, c := range map[string]struct {
		n     node
		right uint32
		want  bool
	}{
		"owner":              {node{mode: 0o100, uid: 9002}, 1, true},
		"owner-not":          {node{mode: 0o011, uid: 9002}, 1, false}, // the owner's bits alone decide
		"group":              {node{mode: 0o010, gid: 9002}, 1, true},
		"supplementary":      {node{mode: 0o040, gid: 44}, 4, true},
		"group-not":          {node{mode: 0o001, gid: 44}, 1, false},
		"others":             {node{mode: 0o001}, 1, true},
		"others-not":         {node{mode: 0o770}, 1, false},
		"read-not-execute":   {node{mode: 0o711}, 4, false},
		"sticky-is-no-right": {node{mode: 0o1000}, 1, false},
	} {
		if got := c.n.lets(u, c.right); got != c.want {
			t.Errorf("%s: %t", name, got)
		}
	}
}
