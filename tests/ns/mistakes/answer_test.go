// SPDX-License-Identifier: Apache-2.0

package mistakes

import (
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/gateway-init/gateway-init/internal/testenv"
	"github.com/gateway-init/gateway-init/tests/ns/box"
)

func TestMain(m *testing.M) { os.Exit(box.Main(m)) }

type obj = map[string]any

// file is the path of the configuration.
const file = "/etc/gateway-init/config.json"

var path = []string{"PATH=/usr/local/bin"}

// try makes each mistake and compares the answer.
func try(t *testing.T, mistakes []mistake) {
	for _, m := range mistakes {
		t.Run(m.name, func(t *testing.T) {
			b := box.Start(t, m.made)
			want := m.want
			if strings.HasPrefix(want, file) {
				want = "gateway-init: " + want
			}
			if got := m.answer(t, b); got != want {
				t.Errorf("the answer is\n%s\nand not\n%s", got, want)
			}
		})
	}
}

// with returns the demo's configuration with changes.
func with(change obj) box.Options { return box.Options{Config: change} }

// gateway returns the demo's configuration with these keys and values of gateway.
func gateway(pairs ...any) box.Options {
	g := obj{}
	for i := 0; i < len(pairs); i += 2 {
		g[pairs[i].(string)] = pairs[i+1]
	}
	return with(obj{"gateway": g})
}

// text returns a configuration that is this text.
func text(s string) box.Options {
	return box.Options{Plant: []box.Entry{{Path: file, Type: unix.S_IFREG, Mode: 0o644, Data: s}}}
}

// soon returns gateway.ready with a short timeout, after which the gateway is not
// replaced.
func soon(change obj) obj {
	ready := obj{"timeout": "500ms", "give_up": "1h"}
	for key, value := range change {
		ready[key] = value
	}
	return ready
}

// allCaps returns every capability.
func allCaps() (all []uintptr) {
	for c := uintptr(0); c <= unix.CAP_LAST_CAP; c++ {
		all = append(all, c)
	}
	return all
}

// ends returns what PID 1 says at its end, beside its log, and checks its exit code.
func ends(code int) func(*testing.T, *box.Box) string {
	return func(t *testing.T, b *box.Box) string {
		t.Helper()
		if s := b.Wait(10 * time.Second); s.ExitStatus() != code {
			t.Errorf("ended with %d, want %d", s.ExitStatus(), code)
		}
		var said []string
		for line := range strings.Lines(b.Log()) {
			if strings.HasPrefix(line, "gateway-init: ") {
				said = append(said, strings.TrimSuffix(line, "\n"))
			}
		}
		return strings.Join(said, "\n")
	}
}

// logs returns the first log line of an event that has these parts, without its time.
func logs(event string, parts ...string) func(*testing.T, *box.Box) string {
	parts = append(parts, `"event":"`+event+`"`)
	return func(t *testing.T, b *box.Box) string {
		t.Helper()
		for end := time.Now().Add(testenv.AtMost(t, 20*time.Second)); time.Now().Before(end); time.Sleep(time.Millisecond) {
			for line := range strings.Lines(b.Log()) {
				missing := 0
				for _, part := range parts {
					if !strings.Contains(line, part) {
						missing++
					}
				}
				if _, after, ok := strings.Cut(line, `Z",`); missing == 0 && ok && strings.HasSuffix(line, "\n") {
					return strings.TrimSuffix(after, "\n")
				}
			}
		}
		t.Fatalf("no line of %s:\n%s", parts, b.Log())
		return ""
	}
}

// waits returns what gatewayctl wait says after PID 1 has logged an event: when
// ready.timeout has passed (not-ready-in-time), or when the gateway has found another
// process on its port (start-failed).
func waits(event string) func(*testing.T, *box.Box) string {
	return func(t *testing.T, b *box.Box) string {
		t.Helper()
		logs(event)(t, b)
		return strings.TrimSuffix(b.Ctl("wait", "--timeout", "100ms").Stderr, "\n")
	}
}

var (
	pid    = regexp.MustCompile(`pid \d+`)
	spaces = regexp.MustCompile(` +`)
)

// status returns the first line of gatewayctl status, once the gateway serves, and the
// line of a label up to a time.
func status(label string) func(*testing.T, *box.Box) string {
	return func(t *testing.T, b *box.Box) string {
		t.Helper()
		var out string
		for end := time.Now().Add(testenv.AtMost(t, 20*time.Second)); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
			if out = b.Ctl("status", "-v").Stdout; strings.HasPrefix(out, "SERVING") {
				break
			}
		}
		answer, _, _ := strings.Cut(out, "\n")
		for line := range strings.Lines(out) {
			if strings.HasPrefix(line, label+" ") {
				line = spaces.ReplaceAllString(pid.ReplaceAllString(line, "pid N"), " ")
				line = regexp.MustCompile(`(minted|started) \d.*`).ReplaceAllString(line, "$1")
				answer += "\n" + strings.TrimSpace(line)
			}
		}
		return answer
	}
}

// readsToken returns what the gateway's user is told that reads the token's file. The
// token is in the gateway's environment, and nowhere else.
func readsToken(t *testing.T, b *box.Box) string {
	t.Helper()
	b.WaitServing(20 * time.Second)
	r := b.Exec(box.GatewayUID, "demotools", "cat", box.Runtime+"/gateway-token")
	return strings.TrimSuffix(r.Stderr, "\n")
}
