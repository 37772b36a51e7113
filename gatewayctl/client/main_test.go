// SPDX-License-Identifier: Apache-2.0

package client

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/gateway-init/gateway-init/internal/environ"
	"github.com/gateway-init/gateway-init/internal/sys"
	"github.com/gateway-init/gateway-init/internal/testenv"
	"github.com/gateway-init/gateway-init/internal/users"
	"github.com/gateway-init/gateway-init/tokenfile"
)

// asDriver makes this test binary a gatewayctl that runs one client, because Run
// permanently changes its process. Its value is an order.
const asDriver = "CLIENT_TEST_ORDER"

// order tells a driver what to do.
type order struct {
	Argv            []string
	Configured, TTY bool
	Dir, Home       string
	Env, PassEnv    []string
	Caller          []string
	Grace           time.Duration
	Caps            *uint64 // the only capabilities
	Mute            bool
	NoToken         bool
	Gateway         int    // a pid; 0 for none
	Lock            string // a file that is locked while the client lives
	CheckFails      string // the error of Check
	Unless          string // Again fails once this file exists
}

// A driver's exit codes if Run has an error, and if that error is a KilledError.
const (
	failedToRun = 99
	killedIt    = 98
)

func TestMain(m *testing.M) {
	if text := os.Getenv(asDriver); text != "" {
		os.Exit(drive(text))
	}
	os.Exit(m.Run())
}

func drive(text string) int {
	var o order
	err := json.Unmarshal([]byte(text), &o)
	if err == nil && o.Caps != nil {
		err = sys.SetCaps(*o.Caps)
	}
	code := 0
	if err == nil {
		code, err = o.run()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		return failedToRun
	}
	return code
}

func (o order) run() (int, error) {
	p, err := New(o.spec())
	if err != nil {
		return 0, err
	}
	if o.Grace != 0 {
		p.grace = o.Grace
	}
	g, err := o.grant()
	if err != nil {
		return 0, err
	}
	io := Stdio{os.Stdin, os.Stdout, os.Stderr}
	if o.Mute {
		io.In = nil
	}
	code, err := p.Run(g, io)
	if g.Token != nil && len(g.Token.Bytes()) != 0 {
		err = errors.Join(err, errors.New("the token was not wiped"))
	}
	if errors.As(err, new(*KilledError)) {
		fmt.Fprintln(os.Stderr, "error:", err)
		return killedIt, nil
	}
	return code, err
}

// grant opens the files that the order names.
func (o order) grant() (g Grant, err error) {
	if !o.NoToken {
		dir, err := os.Open("/mnt/token")
		if err != nil {
			return g, err
		}
		if g.Token, err = tokenfile.Mint(dir, fmt.Sprint(os.Getpid()), tokenfile.Policy{}); err != nil {
			return g, err
		}
	}
	if o.Gateway != 0 {
		fd, err := sys.PidfdOpen(o.Gateway)
		if err != nil {
			return g, err
		}
		g.Gateway = os.NewFile(uintptr(fd), "pidfd")
	}
	if o.Lock != "" {
		lock, err := os.Open(o.Lock)
		if err != nil {
			return g, err
		}
		if held, err := sys.TrySharedLock(lock); err != nil || !held {
			return g, fmt.Errorf("cannot lock %s: %v, %w", o.Lock, held, err)
		}
		g.Gone = func() { lock.Close() }
	}
	if o.CheckFails != "" {
		g.Check = func() error { return errors.New(o.CheckFails) }
	}
	if o.Unless != "" {
		g.Again = func() error {
			if _, err := os.Stat(o.Unless); err == nil {
				return errors.New("it is there")
			}
			return nil
		}
	}
	return g, nil
}

func (o order) spec() Spec {
	return Spec{
		Argv: o.Argv, Configured: o.Configured, TTY: o.TTY, Dir: o.Dir, Env: o.Env, PassEnv: o.PassEnv,
		Caller: environ.Clean(o.Caller), TokenEnv: "TOKEN",
		User: users.User{Name: "op", UID: op, GID: op, Groups: []uint32{op, op + 1}, Home: o.Home, Shell: "/bin/sh"},
	}
}

const op, agent = testenv.Stranger, testenv.Gateway

// mountHome gives the test its own view of the file system. A tmpfs at /mnt has the
// operator's home and a place for the tokens of drivers.
func mountHome(t *testing.T) bool {
	t.Helper()
	if !testenv.Inside(t, unix.CLONE_NEWNS) {
		return false
	}
	testenv.Must(t, unix.Mount("none", "/mnt", "tmpfs", 0, "mode=0755"))
	for _, d := range []struct {
		path string
		mode os.FileMode
		uid  int
	}{{"/mnt/token", 0o700, 0}, {"/mnt/home", 0o700, op}, {"/mnt/agent", 0o755, agent}} {
		testenv.Must(t, errors.Join(os.Mkdir(d.path, 0o700), os.Chmod(d.path, d.mode), os.Chown(d.path, d.uid, d.uid)))
	}
	return true
}

// shell returns an order for a script that the operator runs in its own home.
func shell(script string, args ...string) order {
	return order{Argv: append([]string{"sh", "-c", script, "sh"}, args...), Home: "/mnt/home"}
}

// driver starts a process that carries out o.
func driver(t *testing.T, o order) *exec.Cmd {
	t.Helper()
	text, err := json.Marshal(o)
	testenv.Must(t, err)
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = []string{asDriver + "=" + string(text)}
	stray, err := os.Open("/dev/null") // a descriptor that the caller left open
	testenv.Must(t, err)
	t.Cleanup(func() { stray.Close() })
	cmd.ExtraFiles = []*os.File{stray}
	return cmd
}

// output runs o to its end.
func output(t *testing.T, o order) (code int, stdout, stderr string) {
	t.Helper()
	cmd := driver(t, o)
	var out, err strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &err
	if e := (*exec.ExitError)(nil); !errors.As(cmd.Run(), &e) && cmd.ProcessState == nil {
		t.Fatal("the driver did not run")
	}
	return cmd.ProcessState.ExitCode(), out.String(), err.String()
}

// must runs o, which must end with 0 and write nothing on stderr. It returns the output.
func must(t *testing.T, o order) string {
	t.Helper()
	code, out, stderr := output(t, o)
	if code != 0 || stderr != "" {
		t.Fatalf("code %d, stdout %q, stderr %q", code, out, stderr)
	}
	return out
}
