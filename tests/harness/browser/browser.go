// SPDX-License-Identifier: Apache-2.0

// Package browser drives Debian's Chromium, so that a test sees a page as a person
// does. It speaks the DevTools protocol over two pipes. That needs no port, no
// driver program and no package of npm. Pipes work across network namespaces, and
// no other process can connect to them.
//
//	p := browser.Start(t, harness.EnginePID(t)).Open("http://localhost:18789/")
//	p.WaitFor(time.Minute, "the chat", func(text string) error { ... })
//	p.Fill("textarea", "hello")
//	p.Enter()
//
// Each browser has a profile of its own, and knows nothing of an earlier one. It
// resolves no name but localhost, so it makes no request of its own.
//
// If a test has failed, the log has the text of each page and the last messages of
// its console. A screenshot is kept beside those that the test took.
package browser

import (
	"errors"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/gateway-init/gateway-init/tests/harness"
)

// program is Debian's launcher, which executes the browser.
const program = "chromium"

// Browser is a running Chromium.
type Browser struct {
	t    testing.TB
	conn *conn
}

// Need skips the test if there is no Chromium. Under CI=true a skip is a failure.
func Need(t testing.TB) {
	t.Helper()
	if _, err := exec.LookPath(program); err != nil {
		t.Skipf("no %s: run tests/engine/need-chromium as root", program)
	}
}

// Start starts a browser in the network namespace of process pid. 0 is the test's
// own. The browser exits at the end of the test. If the test's process is killed,
// it exits too, because its pipes are closed then.
func Start(t testing.TB, pid int) *Browser {
	t.Helper()
	Need(t)
	calls, in, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	out, answers, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd, said := command(pid, t.TempDir()), new(strings.Builder)
	cmd.Stdout, cmd.Stderr = said, said
	cmd.ExtraFiles = []*os.File{calls, answers} // its descriptors 3 and 4
	err = cmd.Start()
	if err := errors.Join(err, calls.Close(), answers.Close()); err != nil {
		t.Fatalf("cannot start %s: %v", program, err)
	}
	b := &Browser{t, newConn(in, out)}
	t.Cleanup(func() {
		b.end(cmd)
		if t.Failed() {
			t.Logf("%s says:\n%s", program, messages(said.String()))
		}
	})
	return b
}

// command returns the command line. A browser of root needs --no-sandbox. The only
// page that it opens is that of the gateway under test.
func command(pid int, profile string) *exec.Cmd {
	args := []string{program, "--headless", "--remote-debugging-pipe", "--no-sandbox", "--user-data-dir=" + profile,
		"--window-size=1280,900", "--lang=en-US", "--hide-scrollbars", "--mute-audio", "--disable-gpu", "--disable-dev-shm-usage",
		"--no-first-run", "--no-default-browser-check", "--no-pings", "--password-store=basic", "--metrics-recording-only",
		"--disable-background-networking", "--disable-breakpad", "--disable-component-update", "--disable-default-apps",
		"--disable-domain-reliability", "--disable-extensions", "--disable-sync",
		"--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE localhost, EXCLUDE 127.0.0.1, EXCLUDE [::1]"}
	if pid != 0 {
		args = append([]string{"nsenter", "--net", "--target", strconv.Itoa(pid), "--"}, args...)
	}
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Env = append(os.Environ(), "HOME="+profile, "XDG_CONFIG_HOME="+profile, "XDG_CACHE_HOME="+profile, "LANG=C.UTF-8")
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	return cmd
}

// end closes the browser and waits for all its processes, which write into the
// profile. The test removes the profile next.
func (b *Browser) end(cmd *exec.Cmd) {
	b.t.Helper()
	b.conn.call("", "Browser.close", nil, nil) // fails if it has exited
	b.conn.close()
	exited := make(chan struct{})
	go func() {
		defer close(exited)
		cmd.Wait()
	}()
	select {
	case <-exited:
	case <-time.After(patience):
		b.t.Errorf("%s does not exit", program)
	}
	group := -cmd.Process.Pid
	syscall.Kill(group, syscall.SIGKILL)
	<-exited
	harness.Eventually(b.t, patience, "the browser's processes to exit", func() error {
		if err := syscall.Kill(group, 0); !errors.Is(err, syscall.ESRCH) {
			return errors.Join(err, errors.New("some remain"))
		}
		return nil
	})
}

// Open opens an address in a new tab.
func (b *Browser) Open(url string) *Page {
	b.t.Helper()
	var target struct{ TargetID string }
	var attached struct{ SessionID string }
	err := b.conn.call("", "Target.createTarget", map[string]any{"url": "about:blank"}, &target)
	if err == nil {
		err = b.conn.call("", "Target.attachToTarget", map[string]any{"targetId": target.TargetID, "flatten": true}, &attached)
	}
	if err != nil {
		b.t.Fatalf("cannot open a tab: %v", err)
	}
	p := &Page{t: b.t, conn: b.conn, session: attached.SessionID}
	b.t.Cleanup(p.explain)
	for _, domain := range []string{"Page", "Log", "Runtime"} {
		p.must(domain+".enable", nil, nil)
	}
	p.Go(url)
	return p
}

// messages returns the last messages of the browser. It has no D-Bus, and says so
// very often.
func messages(log string) string {
	lines := slices.DeleteFunc(strings.Split(log, "\n"), func(line string) bool { return strings.Contains(line, ":dbus/") })
	return strings.Join(lines[max(0, len(lines)-20):], "\n")
}
