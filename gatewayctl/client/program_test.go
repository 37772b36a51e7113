// SPDX-License-Identifier: Apache-2.0

package client

import (
	"errors"
	"io/fs"
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/gateway-init/gateway-init/internal/fsafe"
	"github.com/gateway-init/gateway-init/internal/sys"
	"github.com/gateway-init/gateway-init/internal/testenv"
)

// file puts a file into a test's /mnt.
func file(t *testing.T, path, text string, mode fs.FileMode, uid int) {
	t.Helper()
	testenv.Must(t, errors.Join(os.WriteFile(path, []byte(text), 0o600), os.Chown(path, uid, uid), os.Chmod(path, mode)))
}

// TestNew checks that a program that the agent could change never gets the token,
// however it becomes part of the client.
func TestNew(t *testing.T) {
	if !mountHome(t) {
		return
	}
	const script = "#!/bin/sh\necho ran\n"
	testenv.Must(t, os.Mkdir("/mnt/world", 0o755))
	testenv.Must(t, os.Chmod("/mnt/world", 0o777))
	file(t, "/mnt/good", script, 0o755, 0)
	file(t, "/mnt/home/own", script, 0o700, op)
	file(t, "/mnt/execute-only", "\x7fELF", 0o711, 0)
	file(t, "/mnt/agent/p", script, 0o755, agent)
	file(t, "/mnt/agent/root", script, 0o755, 0)
	file(t, "/mnt/world/p", script, 0o755, 0)
	file(t, "/mnt/writable", script, 0o777, 0)
	file(t, "/mnt/plain", script, 0o644, 0)
	file(t, "/mnt/by-agent", "#!/mnt/agent/p -x\n", 0o755, 0)
	file(t, "/mnt/by-good", "#! \t/mnt/good arg\n", 0o755, 0)
	file(t, "/mnt/by-by-agent", "#!/mnt/by-agent\n", 0o755, 0)
	file(t, "/mnt/by-relative", "#!bin/sh\n", 0o755, 0)
	file(t, "/mnt/by-nothing", "#!\n", 0o755, 0)
	file(t, "/mnt/by-missing", "#!/mnt/missing\n", 0o755, 0)
	file(t, "/mnt/by-itself", "#!/mnt/by-itself\n", 0o755, 0)
	file(t, "/mnt/empty", "", 0o755, 0)
	testenv.Must(t, os.Symlink("/mnt/agent/root", "/mnt/link"))
	testenv.Must(t, os.Mkdir("/mnt/closed", 0o700))
	file(t, "/mnt/closed/p", script, 0o755, 0)
	for name, c := range map[string]struct {
		o    order
		want error
		says string
	}{
		"by-name":                {order{Argv: []string{"cat"}}, nil, ""},
		"absolute":               {order{Argv: []string{"/mnt/good"}}, nil, ""},
		"operator's":             {order{Argv: []string{"/mnt/home/own"}}, nil, ""},
		"execute-only":           {order{Argv: []string{"/mnt/execute-only"}}, nil, ""},
		"empty-file":             {order{Argv: []string{"/mnt/empty"}}, nil, ""},
		"script-of-script":       {order{Argv: []string{"/mnt/by-good"}}, nil, ""},
		"configured-path":        {order{Argv: []string{"good"}, Env: []string{"PATH=/mnt"}}, nil, ""},
		"caller's-path":          {order{Argv: []string{"good"}, Caller: []string{"PATH=/mnt"}}, ErrNotFound, `"good" is not found`},
		"passed-path":            {order{Argv: []string{"good"}, PassEnv: []string{"PATH"}, Caller: []string{"PATH=/mnt"}}, ErrNotFound, ""},
		"agent's":                {order{Argv: []string{"/mnt/agent/p"}}, fsafe.ErrUnsafe, "/mnt/agent: is owned by uid 54321"},
		"agent's-directory":      {order{Argv: []string{"/mnt/agent/root"}}, fsafe.ErrUnsafe, "/mnt/agent: is owned by"},
		"link-to-agent's":        {order{Argv: []string{"/mnt/link"}}, fsafe.ErrUnsafe, "/mnt/agent: is owned by"},
		"writable-directory":     {order{Argv: []string{"/mnt/world/p"}}, fsafe.ErrUnsafe, "/mnt/world: is writable by others"},
		"writable":               {order{Argv: []string{"/mnt/writable"}}, fsafe.ErrUnsafe, "/mnt/writable: is writable by others"},
		"agent's-interpreter":    {order{Argv: []string{"/mnt/by-agent"}}, fsafe.ErrUnsafe, "/mnt/agent: is owned by"},
		"interpreter-of-that":    {order{Argv: []string{"/mnt/by-by-agent"}}, fsafe.ErrUnsafe, "/mnt/agent: is owned by"},
		"relative-interpreter":   {order{Argv: []string{"/mnt/by-relative"}}, fsafe.ErrUnsafe, "names no interpreter"},
		"no-interpreter":         {order{Argv: []string{"/mnt/by-nothing"}}, fsafe.ErrUnsafe, "names no interpreter"},
		"missing-interpreter":    {order{Argv: []string{"/mnt/by-missing"}}, ErrNotFound, "/mnt/missing"},
		"endless-interpreters":   {order{Argv: []string{"/mnt/by-itself"}}, ErrNotExecutable, ""},
		"not-found":              {order{Argv: []string{"no-such-program"}}, ErrNotFound, ""},
		"not-there":              {order{Argv: []string{"/mnt/no-such-program"}}, ErrNotFound, ""},
		"below-a-file":           {order{Argv: []string{"/mnt/good/x"}}, ErrNotFound, ""},
		"not-executable":         {order{Argv: []string{"/mnt/plain"}}, ErrNotExecutable, ""},
		"directory":              {order{Argv: []string{"/mnt/world"}}, fsafe.ErrUnsafe, ""},
		"root's-alone":           {order{Argv: []string{"/mnt/closed/p"}}, ErrNotExecutable, ""},
		"script-argument":        {order{Argv: []string{"/bin/sh", "/mnt/good"}, Configured: true}, nil, ""},
		"agent's-script":         {order{Argv: []string{"/bin/sh", "-x", "/mnt/agent/p"}, Configured: true}, fsafe.ErrUnsafe, "/mnt/agent: is owned by"},
		"agent's-link":           {order{Argv: []string{"/bin/sh", "/mnt/link"}, Configured: true}, fsafe.ErrUnsafe, "/mnt/agent: is owned by"},
		"argument-not-a-file":    {order{Argv: []string{"/bin/sh", "/mnt/agent", "/chat/main", "mnt/writable"}, Configured: true}, nil, ""},
		"argument-of-a-person's": {order{Argv: []string{"cat", "/mnt/agent/p"}}, nil, ""},
		"dir":                    {order{Argv: []string{"cat"}, Dir: "/mnt/home"}, nil, ""},
		"dir-missing":            {order{Argv: []string{"cat"}, Dir: "/mnt/missing"}, fs.ErrNotExist, "cannot use --dir as user op"},
		"dir-closed":             {order{Argv: []string{"cat"}, Dir: "/mnt/closed"}, fs.ErrPermission, "cannot use --dir as user op"},
		"dir-a-file":             {order{Argv: []string{"cat"}, Dir: "/mnt/good"}, unix.ENOTDIR, ""},
	} {
		t.Run(name, func(t *testing.T) {
			c.o.Home = "/mnt/home"
			_, err := New(c.o.spec())
			if !errors.Is(err, c.want) || err != nil && (c.want == nil || !strings.Contains(err.Error(), c.says)) {
				t.Errorf("got %v, want %v that says %q", err, c.want, c.says)
			}
		})
	}
}

// TestSearchPath checks that PATH has no directory that the agent can write. The
// agent could put the next program of that name there.
func TestSearchPath(t *testing.T) {
	if !testenv.Inside(t, unix.CLONE_NEWNS) {
		return
	}
	testenv.Must(t, unix.Mount("none", "/mnt", "tmpfs", 0, "mode=0755"))
	for _, d := range []struct {
		path string
		mode fs.FileMode
		uid  int
	}{{"usr", 0o755, 0}, {"usr/local", 0o755, 0}, {"usr/local/sbin", 0o755, agent}, {"usr/local/bin", 0o777 | fs.ModeSticky, 0}, {"usr/bin", 0o755, 0}} {
		testenv.Must(t, errors.Join(os.Mkdir("/mnt/"+d.path, 0o755), os.Chown("/mnt/"+d.path, d.uid, d.uid), os.Chmod("/mnt/"+d.path, d.mode)))
	}
	file(t, "/mnt/usr/bin/p", "", 0o755, 0)
	file(t, "/mnt/sbin", "", 0o755, 0)
	testenv.Must(t, os.Symlink("usr/bin", "/mnt/bin"))
	testenv.Must(t, errors.Join(unix.Chroot("/mnt"), os.Chdir("/")))
	kept, left := searchPath(op)
	if kept != "/usr/bin:/bin" || len(left) != 3 {
		t.Errorf("kept %q, left out %q", kept, left)
	}
	p := &Plan{Spec: order{Argv: []string{"p"}}.spec()}
	if testenv.Must(t, p.resolve()); p.path != "/usr/bin/p" || len(p.Notes) != 3 || !strings.HasPrefix(p.Notes[0], "left out of PATH: /usr/local/sbin: is owned") {
		t.Errorf("found %q, notes %q", p.path, p.Notes)
	}
	testenv.Must(t, os.Chmod("/usr", 0o777))
	if kept, left := searchPath(op); kept != "/nonexistent" || len(left) < 3 {
		t.Errorf("kept %q, left out %q", kept, left)
	}
}

// TestExecErrors checks errors of the exec itself, after the file has changed.
func TestExecErrors(t *testing.T) {
	for err, want := range map[error]error{unix.ENOENT: ErrNotFound, unix.ENOTDIR: ErrNotFound, unix.EACCES: ErrNotExecutable,
		unix.ENOEXEC: ErrNotExecutable, unix.ELOOP: ErrNotExecutable} {
		if got := execError("p", &fs.PathError{Op: "fork/exec", Path: "/p", Err: err}); !errors.Is(got, want) || !errors.Is(got, err) {
			t.Errorf("%v became %v", err, got)
		}
	}
	if err := execError("p", unix.EAGAIN); !errors.Is(err, unix.EAGAIN) || errors.Is(err, ErrNotExecutable) || errors.Is(err, ErrNotFound) {
		t.Errorf("no process to be had: %v", err)
	}
	if !mountHome(t) {
		return
	}
	file(t, "/mnt/no-program", "text\n", 0o755, 0)
	code, _, stderr := output(t, order{Argv: []string{"/mnt/no-program"}, Home: "/mnt/home"})
	if code != failedToRun || !strings.Contains(stderr, `"/mnt/no-program" is not executable`) {
		t.Errorf("code %d, %q", code, stderr)
	}
	if s, err := sys.OOMScore(); err != nil || s == "1000\n" {
		t.Errorf("ours is %q, %v", s, err)
	}
}
