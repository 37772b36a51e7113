// SPDX-License-Identifier: Apache-2.0

package launch_test

import (
	"io"
	"os"
	"os/signal"
	"syscall"
	"testing"
	"time"

	"github.com/gateway-init/gateway-init/internal/sys"
	"github.com/gateway-init/gateway-init/internal/testenv"
	"github.com/gateway-init/gateway-init/supervisor/launch"
	"github.com/gateway-init/gateway-init/supervisor/reexec"
)

// TestMain makes this test binary the re-exec child, as gateway-init is.
func TestMain(m *testing.M) {
	if os.Args[0] == launch.ReexecName {
		os.Exit(reexec.Run())
	}
	if helper(os.Args) {
		return
	}
	if os.Getenv(starveEnv) != "" {
		starve()
		return
	}
	launch.BoundMemory()
	os.Exit(m.Run())
}

const gateway, stranger = testenv.Gateway, testenv.Stranger

// child is a program that runs as the gateway, with stdout in a pipe.
type child struct {
	launch.Child
	out *os.File // the read end
}

// program returns a child that executes argv.
func program(t *testing.T, argv ...string) *child {
	t.Helper()
	null, err := os.OpenFile("/dev/null", os.O_RDWR, 0)
	testenv.Must(t, err)
	r, w, err := os.Pipe()
	testenv.Must(t, err)
	t.Cleanup(func() { null.Close(); r.Close(); w.Close() })
	return &child{launch.Child{
		UID: gateway, GID: gateway, Groups: []uint32{gateway + 10, gateway + 11}, Stdio: [3]*os.File{null, w, w},
		Spec: launch.Spec{Argv: argv, Env: []string{"PATH=/usr/bin:/bin", "A=b"}, Dir: "/", Umask: 0o007, OOMAdj: 200},
	}, r}
}

// start launches c and waits for its report.
func start(t *testing.T, c *child) (*launch.Proc, error) {
	t.Helper()
	reports := make(chan error, 1)
	p, err := launch.Start(c.Child, func(_ int, _ string, err error) { reports <- err })
	testenv.Must(t, err)
	t.Cleanup(func() {
		p.Signal(syscall.SIGKILL)
		syscall.Wait4(p.PID, nil, 0, nil)
		p.Close()
	})
	select {
	case err := <-reports:
		return p, err
	case <-time.After(20 * time.Second):
		t.Fatal("no report")
		return nil, nil
	}
}

// output returns the text that c prints until it ends.
func output(t *testing.T, c *child) string {
	t.Helper()
	_, err := start(t, c)
	testenv.Must(t, err)
	c.Stdio[1].Close() // the child has the other write end
	data, err := io.ReadAll(c.out)
	testenv.Must(t, err)
	return string(data)
}

// asPID1 subscribes to every signal, as PID 1 does. No child may inherit that.
func asPID1(t *testing.T) {
	t.Helper()
	signals := make(chan os.Signal, 128)
	signal.Notify(signals)
	t.Cleanup(func() { signal.Stop(signals) })
	sys.WarmThreads(24)
	testenv.ThreadsIdle(t)
}

func state(t *testing.T, pid int) string {
	t.Helper()
	return testenv.Status(t, "/proc/"+itoa(pid)+"/status")["State"][:1]
}
