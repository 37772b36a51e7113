package openclaw

import (
	"strings"
	"testing"
	"time"

	"github.com/creack/pty"

	"gatewayinit/tests/harness"
)

// tui opens the terminal UI as the README says, lets it ask the agent, and ends
// it with Ctrl-C.
func tui(t *testing.T, c *harness.Container) {
	t.Helper()
	m := harness.OpenTerminal(t, pty.Winsize{Rows: 40, Cols: 120}, "exec", "-it", c.Name, "gatewayctl", "tui")
	m.WaitFor("gateway connected", 1, 3*time.Minute)
	m.Type("hello\r")
	m.WaitFor("RESULTS null END", 1, 3*time.Minute)
	quit(t, m)
}

// pasteOff is what a terminal UI says last: from here on Ctrl-C would be a
// signal, not a key.
const pasteOff = "\x1b[?2004l"

// quit presses Ctrl-C until the terminal UI ends: the first may only stop what
// it is doing.
func quit(t *testing.T, m *harness.Terminal) {
	t.Helper()
	code := make(chan int, 1)
	go func() { code <- m.Code(2 * time.Minute) }()
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case got := <-code:
			if got != 0 {
				t.Errorf("the terminal UI ended with %d", got)
			}
			return
		case <-tick.C:
			if !strings.Contains(m.Shown(), pasteOff) {
				m.TryType("\x03")
			}
		}
	}
}

// T02: the token moved into a file that the documented command could not read,
// and nobody had run that command (#2480).
func TestScenarioT02(t *testing.T) {
	t.Parallel()
	needImage(t)
	for name, flags := range map[string][]string{
		"readme":            flags(),
		"no-new-privileges": {"--security-opt", "no-new-privileges"},
		"plain":             {},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := options(t, nil, nil)
			o.Flags = flags
			c := harness.Start(t, o)
			c.WaitServing(ready)
			tui(t, c)
			c.MustCtl("restart", "--timeout", "4m")
			tui(t, c)
			c.MustCtl("restart", "--rotate-token", "--timeout", "4m")
			tui(t, c)
		})
	}
	// Without root there is no operator to run it as, and who demands separation
	// gets no container.
	t.Run("non-root", func(t *testing.T) {
		o := options(t, nil, map[string]any{"require_separation": true})
		o.Flags = []string{"--user", "1000:1000"}
		c, _ := harness.TryStart(t, o)
		if code := c.WaitExit(time.Minute); code != 1 {
			t.Errorf("exit code %d", code)
		}
		if log := c.Logs(); strings.Count(log, "\n") != 1 || !strings.Contains(log, "run the container as root") {
			t.Errorf("log: %s", log)
		}
	})
}

// T03: each client needed its own manual step after an upgrade.
func TestScenarioT03(t *testing.T) {
	c := shared(t)
	waitTools(t, c)
	tui(t, c)
	for name, try := range map[string]struct {
		args []string
		want string
	}{
		"call":    {[]string{"openclaw", "gateway", "call", "health", "--json"}, `"ok"`},
		"status":  {[]string{"openclaw", "gateway", "status"}, "Connectivity probe: ok"},
		"devices": {[]string{"openclaw", "devices", "list", "--json"}, `"displayName": "sandbox"`},
		"nodes":   {[]string{"openclaw", "nodes", "status", "--connected", "--json"}, `"connected": true`},
	} {
		t.Run(name, func(t *testing.T) {
			if r := client(c.For(t), try.args...); r.Code != 0 || !strings.Contains(r.Stdout, try.want) {
				t.Errorf("%v", r)
			}
		})
	}
	t.Run("dashboard", func(t *testing.T) {
		c := c.For(t)
		url := c.MustCtl("token", "--url", "http://127.0.0.1:18789")
		base, token, ok := strings.Cut(url, "/#token=")
		if !ok || base != "http://127.0.0.1:18789" || token != c.Token() {
			t.Fatal("the URL is not the dashboard's with the token in its fragment")
		}
		if r := c.HTTP("GET", "/", "", ""); r.Code != 200 || !strings.Contains(r.Body, "<html") {
			t.Errorf("the dashboard answers %d %.80q %v", r.Code, r.Body, r.Err)
		}
		if got := authenticates(c, token); got != 404 {
			t.Errorf("the URL's token gets %d", got)
		}
	})
}

// authenticates is the status of a request that needs the token: 404 with it,
// 401 without.
func authenticates(c *harness.Container, token string) int {
	return c.HTTP("POST", "/tools/invoke", token, `{"tool":"nosuch"}`).Code
}
