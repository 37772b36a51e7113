// SPDX-License-Identifier: Apache-2.0

package faults

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/gateway-init/gateway-init/internal/status"
	"github.com/gateway-init/gateway-init/internal/testenv"
	"github.com/gateway-init/gateway-init/tests/ns/box"
)

// screen is what a person sees on a terminal.
type screen struct {
	t      *testing.T
	person *os.File
	stream
}

// stream is what was read from a file.
type stream struct {
	mu   sync.Mutex
	text strings.Builder
}

func (s *stream) readFrom(r *os.File) {
	buf := make([]byte, 4096)
	for {
		n, err := r.Read(buf)
		s.mu.Lock()
		s.text.Write(buf[:n])
		s.mu.Unlock()
		if err != nil {
			return
		}
	}
}

func (s *stream) shown() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.String()
}

// openScreen starts a box on a terminal, like docker run -it.
func openScreen(t *testing.T, o box.Options) (*box.Box, *screen) {
	t.Helper()
	person, tty := terminal(t)
	testenv.Must(t, tty.Chown(o.UID, -1)) // as an engine does
	s := &screen{t: t, person: person}
	go s.readFrom(person)
	o.Terminal = tty
	if o.Stdout == nil {
		o.Stdout = tty
	}
	if o.Stderr == nil {
		o.Stderr = tty
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("the screen:\n%s", s.shown())
		}
	})
	return box.Start(t, o), s
}

// waitFor waits for a text on the screen.
func (s *screen) waitFor(text string) {
	s.t.Helper()
	testenv.Eventually(s.t, "on the screen: "+text, func() bool { return strings.Contains(s.shown(), text) })
}

func (s *screen) typeKeys(keys string) {
	s.t.Helper()
	_, err := s.person.WriteString(keys)
	testenv.Must(s.t, err)
}

// since returns what came after the line that says that the log has moved.
func (s *screen) since() string {
	_, after, _ := strings.Cut(s.shown(), `"event":"log-moved"`)
	_, after, _ = strings.Cut(after, "\n")
	return after
}

// cat is a command that says what is typed.
var cat = []string{"/usr/local/bin/demotools", "cat"}

// typed types a line for cat, and waits until it has answered. The terminal shows both.
func (s *screen) typed(line string) (shown string) {
	s.t.Helper()
	s.typeKeys(line + "\n")
	s.waitFor(line + "\r\n" + line + "\r\n")
	return line + "\r\n" + line + "\r\n"
}

// waitText waits until gatewayctl logs NAME has all of the texts.
func waitText(t *testing.T, b *box.Box, name string, texts ...string) {
	t.Helper()
	for _, text := range texts {
		testenv.Eventually(t, fmt.Sprintf("%q in the log %s", text, name), func() bool {
			return strings.Contains(b.MustCtl("logs", name), text)
		})
	}
}

// noisy is a configuration in which much is written: short health checks, and a sidecar of
// the agent's user that writes and ends.
func noisy() map[string]any {
	return map[string]any{
		"gateway": map[string]any{"health": map[string]any{"interval": "1s", "timeout": "500ms"}},
		"sidecars": []any{map[string]any{"name": "chatty", "user": "sandbox", "restart": "never",
			"command": []string{"/usr/local/bin/demotools", "stdio-all", "3"}}},
	}
}

// makeNoise restarts, crashes and suspends the gateway.
func makeNoise(t *testing.T, b *box.Box) {
	t.Helper()
	b.MustCtl("restart")
	r := b.WaitServing(20 * time.Second)
	b.Tools(0, "sigsend", fmt.Sprint(r.Gateway.PID), "KILL")
	r = b.WaitRecord(20*time.Second, "the next gateway", func(now status.Record) error {
		if now.State != status.Running || now.Gateway.Process == r.Gateway.Process {
			return errors.New("not yet")
		}
		return nil
	})
	b.Tools(0, "sigsend", fmt.Sprint(r.Gateway.PID), "STOP")
	b.WaitRecord(20*time.Second, "a failed health check", func(now status.Record) error {
		if now.Health.Failures == 0 {
			return errors.New("not yet")
		}
		return nil
	})
	b.Tools(0, "sigsend", fmt.Sprint(r.Gateway.PID), "CONT")
}

// Scenario F16, the screen. Log lines and the gateway's output were drawn over the screen of
// the agent's terminal UI, which did not know and did not draw it again.
func TestScreenIsTheCommandsAlone(t *testing.T) {
	b, s := openScreen(t, box.Options{Command: cat, Config: noisy()})
	s.waitFor(`"event":"log-moved"`)
	waitCommand(b)
	want := s.typed("before")
	makeNoise(t, b)
	waitText(t, b, "init", `"event":"hardening"`, `"event":"log-moved"`, `"event":"command-started"`, `"action":"restart"`,
		`"event":"sidecar-exited"`, `"signal":9`, `"event":"backoff"`, `"event":"health"`)
	waitText(t, b, "sidecars", "stdout line 2", "stderr line 2")
	if n := strings.Count(b.MustCtl("logs", "gateway"), "demogateway: listening"); n != 3 {
		t.Errorf("%d gateways in the log, want 3", n)
	}
	want += s.typed("after")
	if got := s.since(); got != want {
		t.Errorf("the screen has %q, want %q", got, want)
	}
	if text := s.shown(); !strings.Contains(text, `"event":"gateway-proven"`) || strings.Contains(text, "demogateway: ") {
		t.Error("before the command the screen shows the log, and not the gateway's output")
	}
	if r := b.Ctl("status"); !strings.Contains(r.Stdout, "logs          gatewayctl logs") {
		t.Errorf("status does not say where the log is: %v", r)
	}

	// What ends the container is shown, and the log is not repeated.
	s.typeKeys("\x04")
	if end := b.Wait(20 * time.Second); end.ExitStatus() != 0 {
		t.Errorf("ended with %d", end.ExitStatus())
	}
	s.waitFor(`"event":"terminated"`)
	rest := strings.TrimPrefix(s.since(), want)
	if !strings.HasPrefix(rest, `{"time"`) || !strings.Contains(rest, `"event":"command-exited"`) || strings.Contains(rest, `"action":"restart"`) {
		t.Errorf("after the command the screen has %q", rest)
	}
}

// TestRedirectedOutputStaysWhereItIs checks that only what would reach the terminal is moved.
func TestRedirectedOutputStaysWhereItIs(t *testing.T) {
	r, w, err := os.Pipe()
	testenv.Must(t, err)
	defer r.Close()
	var stderr stream
	go stderr.readFrom(r)
	b, s := openScreen(t, box.Options{Command: []string{"/usr/local/bin/demotools", "tty-watch"}, Config: noisy(), Stderr: w,
		Misbehave: map[string]any{"flood": 10}})
	w.Close()
	b.WaitServing(20 * time.Second)
	waitCommand(b)
	b.MustCtl("restart")
	for _, want := range []string{`"action":"restart"`, "demogateway: listening", "stderr line 2"} {
		testenv.Eventually(t, want+" on stderr", func() bool { return strings.Contains(stderr.shown(), want) })
	}
	waitText(t, b, "gateway", "flood line")
	waitText(t, b, "sidecars", "stdout line 2")
	if text := s.shown(); strings.Count(text, "\n") != 1 || !strings.HasPrefix(text, "tty=yes") {
		t.Errorf("the screen has %q", text)
	}
	if r := b.Ctl("logs", "init"); r.Code != 1 || !strings.Contains(r.Stderr, "docker logs CONTAINER") {
		t.Errorf("logs init: %v", r)
	}
}

// TestWithoutOwnerOfTheTerminalNothingIsMoved checks a container without a terminal, and a
// terminal without a command: no file, and the descriptors that the engine gave.
func TestWithoutOwnerOfTheTerminalNothingIsMoved(t *testing.T) {
	check := func(b *box.Box) {
		t.Helper()
		r := b.WaitServing(20 * time.Second)
		for _, fd := range []string{"1", "2"} {
			ours, err := os.Readlink(b.Path("/proc/1/fd/" + fd))
			testenv.Must(t, err)
			its, err := os.Readlink(b.Path(fmt.Sprintf("/proc/%d/fd/%s", r.Gateway.PID, fd)))
			testenv.Must(t, err)
			if its != ours {
				t.Errorf("the gateway's %s is %s, ours is %s", fd, its, ours)
			}
		}
		if r.LogFiles {
			t.Error("the record says that the logs are in files")
		}
		if end := b.Ctl("logs"); end.Code != 1 || end.Stderr != "gatewayctl: cannot show logs: no log of this container is in a file: read docker logs CONTAINER\n" {
			t.Errorf("logs: %v", end)
		}
	}
	b := box.Start(t, box.Options{Command: []string{"/usr/local/bin/demotools", "sleep", "3600"}})
	check(b)
	waitLog(b, `"event":"command-started"`)
	b, s := openScreen(t, box.Options{})
	check(b)
	b.MustCtl("restart")
	s.waitFor(`"event":"answered"`)
}

// TestBootErrorsReachTheTerminal checks that a person who types docker run -it sees why
// there is no command.
func TestBootErrorsReachTheTerminal(t *testing.T) {
	for want, o := range map[string]box.Options{
		"gateway-init: /etc/gateway-init/config.json":       {Config: map[string]any{"nonsense": 1}},
		"gateway-init: cannot use /none":                    {Config: map[string]any{"gateway": map[string]any{"command": []string{"/none"}}}},
		`"event":"command-failed","command":"/no/such"`:     {Command: []string{"/no/such"}},
		`"event":"gateway-exited","pid"`:                    {Misbehave: map[string]any{"start_exit": 7}},
		"gateway-init: cannot use /run/gateway-init: 36864": {Mounts: []box.Mount{{At: "/run", Data: "mode=0755,size=36k"}}},
	} {
		t.Run(want, func(t *testing.T) {
			if o.Command == nil {
				o.Command = cat
			}
			_, s := openScreen(t, o)
			s.waitFor(want)
		})
	}
}

// TestLogsAreLinesOfJSON checks that the log of PID 1 is cut at its bound, between two lines.
func TestLogsAreLinesOfJSON(t *testing.T) {
	const bound = 128 << 10
	b, s := openScreen(t, box.Options{Command: cat})
	b.WaitServing(20 * time.Second)
	waitCommand(b)
	request, err := os.OpenFile(b.Path(box.Runtime+"/control/request"), os.O_WRONLY, 0)
	testenv.Must(t, err)
	defer request.Close()
	size := func() (size int64, older os.FileInfo) {
		for _, name := range []string{"init.log", "init.log.old"} {
			if i, err := os.Stat(b.Path(box.Runtime + "/" + name)); err == nil {
				size, older = size+i.Size(), i
			}
		}
		return size, older
	}
	var first os.FileInfo // the first older file
	testenv.Eventually(t, "the log is cut", func() bool {
		for range 20 {
			_, err := request.WriteString(strings.Repeat("x\n", 5))
			testenv.Must(t, err)
		}
		now, older := size()
		if now > bound {
			t.Fatalf("it has %d bytes", now)
		}
		if older == nil || older.Name() != "init.log.old" {
			return false
		}
		if first == nil {
			first = older
		}
		return !os.SameFile(first, older)
	})
	lines := strings.Split(b.MustCtl("logs", "init"), "\n")
	for _, line := range lines {
		if !json.Valid([]byte(line)) {
			t.Errorf("%q is no JSON", line)
		}
	}
	if len(lines) < 100 {
		t.Errorf("%d lines", len(lines))
	}
	if want := s.typed("still here"); s.since() != want {
		t.Errorf("the screen has %q", s.since())
	}
}

// TestTerminalThatStopsWriters checks that a command cannot keep PID 1 from the terminal by
// TOSTOP (termios(3)), with which the kernel stops what writes from the background. It
// leaves a process in PID 1's group, so that the kernel does not answer EIO either: then
// the write never came back. The control is a command without TOSTOP.
func TestTerminalThatStopsWriters(t *testing.T) {
	for name, c := range map[string]struct {
		tool  string
		below []string
	}{
		"as-pid-1": {"tostop", nil},
		"below":    {"tostop", []string{"/usr/local/bin/demotools", "foreign-init", "0"}},
		"control":  {"id", nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b, s := openScreen(t, box.Options{Command: []string{"/usr/local/bin/demotools", c.tool}, Below: c.below,
				Config: map[string]any{"gateway": map[string]any{"stop": map[string]any{"grace": "2s"}}}})
			b.Wait(20 * time.Second)
			for _, event := range []string{"command-exited", "shutdown", "terminated"} {
				s.waitFor(`"event":"` + event + `"`)
			}
			if killed := strings.Contains(s.shown(), `"event":"killed"`); killed != (c.tool == "tostop") {
				t.Errorf("processes had to be killed: %v", killed)
			}
		})
	}
}

// TestNoChildIgnoresTheTerminal checks that what PID 1 ignores at a terminal is not ignored
// by its children, or a shell could not stop what runs in its background.
func TestNoChildIgnoresTheTerminal(t *testing.T) {
	b, _ := openScreen(t, box.Options{Command: cat})
	r := b.WaitServing(20 * time.Second)
	waitCommand(b)
	command, err := b.Record()
	testenv.Must(t, err)
	for _, sig := range []unix.Signal{unix.SIGTTOU, unix.SIGTTIN, unix.SIGTSTP, unix.SIGCONT} {
		for _, pid := range []int{r.Gateway.PID, command.Command.PID} {
			if b.Ignores(pid, sig) {
				t.Errorf("pid %d ignores %v", pid, sig)
			}
		}
	}
	if !b.Ignores(1, unix.SIGTTOU) {
		t.Error("control: PID 1 does not ignore SIGTTOU")
	}
}
