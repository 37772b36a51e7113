// SPDX-License-Identifier: Apache-2.0

package stepdown

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/gateway-init/gateway-init/internal/testenv"
)

// TestMain runs the program as another user if a test has started it as one.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == Arg {
		rest, err := Enter(os.Args[2:])
		if err == nil {
			fmt.Println(os.Getuid(), os.Getgid(), os.Environ())
			err = syscall.Exec(rest[0], rest, nil)
		}
		fmt.Fprintln(os.Stderr, err)
		os.Exit(9)
	}
	os.Exit(m.Run())
}

// TestStart checks that the program runs as that user with only that environment and
// those descriptors, and that its exit code is the error.
func TestStart(t *testing.T) {
	testenv.Root(t)
	ctx := testenv.Within(t, 20*time.Second)
	r, w, err := os.Pipe()
	testenv.Must(t, err)
	p, err := Start(ctx, Spec{UID: testenv.Stranger, GID: testenv.Gateway, Args: []string{"/bin/cat"}, Env: []string{"A=b"}, Files: [3]*os.File{nil, w, os.Stderr}})
	testenv.Must(t, err)
	testenv.Must(t, w.Close())
	out, err := io.ReadAll(r)
	testenv.Must(t, err)
	if want := fmt.Sprintf("%d %d [A=b]\n", testenv.Stranger, testenv.Gateway); string(out) != want {
		t.Errorf("printed %q, want %q", out, want)
	}
	testenv.Must(t, p.Await(ctx)) // its input is /dev/null
	p, err = Start(ctx, Spec{UID: testenv.Stranger, GID: testenv.Stranger, Args: []string{"/bin/false"}})
	testenv.Must(t, err)
	if err := p.Await(ctx); !errors.Is(err, ExitError(1)) {
		t.Errorf("it fails: %v", err)
	}
	if _, err := Start(context.Background(), Spec{UID: testenv.Stranger, GID: testenv.Stranger}); err == nil {
		t.Error("one without a deadline")
	}
}

// TestAwaitEndsAtTheDeadline checks that a process that does not end is killed, and that
// one that cannot be killed is not waited for.
func TestAwaitEndsAtTheDeadline(t *testing.T) {
	if !testenv.Inside(t, 0) {
		return
	}
	start := func(name string) *Process {
		t.Helper()
		p := &Process{ended: make(chan struct{})}
		var err error
		p.process, err = os.StartProcess("/bin/"+name, []string{name, "1000"}, &os.ProcAttr{Sys: &syscall.SysProcAttr{
			Credential: &syscall.Credential{Uid: testenv.Stranger, Gid: testenv.Stranger}}})
		testenv.Must(t, err)
		p.reap()
		return p
	}
	ctx := testenv.Within(t, 50*time.Millisecond)
	if err := start("false").Await(context.Background()); !errors.Is(err, ExitError(1)) {
		t.Errorf("ends by itself: %v", err)
	}
	p := start("sleep")
	if err := p.Await(ctx); !errors.Is(err, context.DeadlineExceeded) || p.state.Sys().(syscall.WaitStatus).Signal() != syscall.SIGKILL {
		t.Errorf("is killed: %v, %v", p.state, err)
	}
	p = start("sleep")
	testenv.Must(t, p.Kill())
	if err := p.Await(testenv.Within(t, time.Minute)); err == nil || !strings.Contains(err.Error(), "it was ended: signal: killed") {
		t.Errorf("ended by another: %v", err)
	}
	testenv.Must(t, p.Kill()) // it has ended
	p = start("sleep")
	defer p.Kill()
	testenv.Must(t, syscall.Setresuid(testenv.Gateway, testenv.Gateway, 0)) // root can be regained at the end
	if err := p.Await(ctx); !errors.Is(err, context.DeadlineExceeded) || p.state != nil {
		t.Errorf("cannot be killed: %v", err)
	}
	testenv.Must(t, syscall.Setresuid(0, 0, 0))
}

// TestBecome checks that a process steps down once.
func TestBecome(t *testing.T) {
	if !testenv.Inside(t, 0) {
		return
	}
	testenv.Must(t, become(testenv.Stranger, testenv.Stranger))
	testenv.Must(t, become(testenv.Stranger, testenv.Stranger)) // already done
	if err := become(testenv.Gateway, testenv.Gateway); err == nil || !strings.Contains(err.Error(), "cannot become uid") {
		t.Errorf("without root: %v", err)
	}
	if _, err := Start(testenv.Within(t, time.Second), Spec{UID: testenv.Gateway, GID: testenv.Gateway}); !errors.Is(err, fs.ErrPermission) || !strings.Contains(err.Error(), "SETUID") {
		t.Errorf("a process without root: %v", err)
	}
}

// TestEnterRefuses checks that wrong arguments change no user, and that the verb is
// known all the same.
func TestEnterRefuses(t *testing.T) {
	for _, args := range [][]string{nil, {"0", "0", "1s"}, {"x", "0", "1h", "v"}, {"0", "-1", "1h", "v"}, {"0", "0", "soon", "v"}} {
		rest, err := Enter(args)
		if err == nil || len(args) > 3 && !slices.Equal(rest, args[3:]) {
			t.Errorf("%q: %q, %v", args, rest, err)
		}
	}
}
