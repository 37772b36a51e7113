// SPDX-License-Identifier: Apache-2.0

package boot

import (
	"errors"
	"io/fs"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/creack/pty"
	"golang.org/x/sys/unix"

	"github.com/gateway-init/gateway-init/internal/logfile"
	"github.com/gateway-init/gateway-init/internal/runtimedir"
	"github.com/gateway-init/gateway-init/internal/sys"
	"github.com/gateway-init/gateway-init/internal/testenv"
	"github.com/gateway-init/gateway-init/supervisor/launch"
)

// onTerminal returns an outlet to a terminal that shows all as it is, and a person's end.
func onTerminal(t *testing.T) (o *outlet, person *os.File) {
	t.Helper()
	person, tty, err := pty.Open()
	testenv.Must(t, err)
	_, err = sys.MakeRaw(tty)
	testenv.Must(t, err)
	s := &stdio{}
	o = newOutlet(s.reopen(int(tty.Fd()), unix.O_NONBLOCK|unix.O_NOCTTY))
	testenv.Must(t, s.shared)
	t.Cleanup(func() { person.Close(); tty.Close(); o.container.Close() })
	return o, person
}

// shown reads from the person's end until want is there, and returns everything.
func shown(t *testing.T, person *os.File, want string) string {
	t.Helper()
	var text strings.Builder
	buf := make([]byte, 4096)
	testenv.Must(t, person.SetReadDeadline(time.Now().Add(20*time.Second)))
	for !strings.Contains(text.String(), want) {
		n, err := person.Read(buf)
		text.Write(buf[:n])
		if err != nil {
			t.Fatalf("%v after %q", err, text.String())
		}
	}
	return text.String()
}

// TestOutletLendsTheTerminal checks that lines before lend, and after takeBack, reach the
// terminal, none in between, and all of them the file.
func TestOutletLendsTheTerminal(t *testing.T) {
	o, person := onTerminal(t)
	dir := testenv.Dir(t, t.TempDir())
	l, err := logfile.New(dir, logfile.Init, 1<<20, 0)
	testenv.Must(t, err)
	o.file.Store(l)
	var want, all string
	for i := range 50 {
		for _, line := range []string{"before\n", "lent\n", "after\n"} {
			switch line {
			case "lent\n":
				o.lend()
			case "after\n":
				o.ring.Flush(20 * time.Second)
				o.takeBack()
			}
			o.ring.Write([]byte(line))
			all += line
			if line != "lent\n" {
				want += line
			}
		}
		if i == 49 {
			o.ring.Write([]byte("end\n"))
		}
	}
	if got := shown(t, person, "end\n"); got != want+"end\n" {
		t.Errorf("the terminal has %q", got)
	}
	if got, err := logfile.Read(dir, logfile.Init, uint32(os.Geteuid())); err != nil || string(got) != all+"end\n" {
		t.Errorf("the file has %q, %v", got, err)
	}
}

// TestStuckTerminalIsNotWaitedFor checks a terminal that takes no output (Ctrl-S): the start
// of the command does not wait, and what did not get out before it never does.
func TestStuckTerminalIsNotWaitedFor(t *testing.T) {
	o, person := onTerminal(t)
	line := []byte(strings.Repeat("x", 999) + "\n")
	for range 100 { // more than a terminal keeps
		o.ring.Write(line)
	}
	begin := time.Now()
	o.lend()
	if took := time.Since(begin); took > testenv.AtMost(t, time.Second) {
		t.Errorf("it waited %v", took)
	}
	o.ring.Flush(20 * time.Second)
	o.ring.Write(line)
	o.ring.Flush(20 * time.Second)
	o.takeBack()
	o.ring.Write([]byte("back\n"))
	if got := shown(t, person, "back\n"); len(got) > 90*len(line) {
		t.Errorf("%d bytes got out", len(got))
	}
}

// TestDivert checks that only descriptors on the terminal are changed, and that each child
// has its own pipe, which arrives in its log.
func TestDivert(t *testing.T) {
	dir := testenv.Dir(t, t.TempDir())
	l, err := logfile.New(dir, logfile.Sidecars, 1<<20, 0)
	testenv.Must(t, err)
	kept := [3]*os.File{os.Stdin, os.Stdout, os.Stderr}
	a, b := launch.Child{UID: uint32(os.Geteuid()), Stdio: kept}, launch.Child{UID: uint32(os.Geteuid()), Stdio: kept}
	testenv.Must(t, divert(&a, [3]bool{2: true}, l))
	testenv.Must(t, divert(&b, [3]bool{1: true, 2: true}, l))
	if a.Stdio[0] != os.Stdin || a.Stdio[1] != os.Stdout || a.Stdio[2] == os.Stderr || b.Stdio[0] != os.Stdin || b.Stdio[1] != b.Stdio[2] || b.Stdio[1] == a.Stdio[2] {
		t.Errorf("%v %v", a.Stdio, b.Stdio)
	}
	_, err = a.Stdio[2].WriteString("of a\n")
	testenv.Must(t, err)
	_, err = b.Stdio[1].WriteString("of b\n")
	testenv.Must(t, err)
	testenv.Eventually(t, "both lines", func() bool {
		text, err := logfile.Read(dir, logfile.Sidecars, uint32(os.Geteuid()))
		return err == nil && strings.Contains(string(text), "of a\n") && strings.Contains(string(text), "of b\n")
	})
	testenv.Must(t, a.Stdio[2].Close())
	testenv.Must(t, b.Stdio[2].Close())
}

// TestLogThatCannotBeMade checks that boot gets an error, and not a container without a log.
func TestLogThatCannotBeMade(t *testing.T) {
	name := t.TempDir() + "/gone"
	testenv.Must(t, os.Mkdir(name, 0o700))
	dir := testenv.Dir(t, name)
	testenv.Must(t, os.Remove(name))
	if _, err := newLog(&runtimedir.Dir{File: dir}, logfile.Init, 1<<20); !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), "cannot make the log") {
		t.Error(err)
	}
}
