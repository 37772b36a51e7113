// SPDX-License-Identifier: Apache-2.0

package harness

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/gateway-init/gateway-init/internal/status"
)

// TestContainer checks the harness's statements about one good container.
func TestContainer(t *testing.T) {
	c := Start(t, Options{})
	record := c.WaitServing(20 * time.Second)
	gateway := c.GatewayHostPID()
	fields, err := StatusFields("/proc/" + strconv.Itoa(gateway) + "/status")
	if err != nil {
		t.Fatal(err)
	}
	if uid := strings.Fields(fields["Uid"])[0]; uid != strconv.Itoa(GatewayUID) {
		t.Errorf("host process %d of the gateway has uid %s", gateway, uid)
	}
	token := c.Token()
	if got := c.MustCtl("token"); got != token {
		t.Error("gatewayctl token and the file differ")
	}
	for name, try := range map[string]struct {
		path, token string
		want        int
	}{
		"without-token": {"/api/whoami", "", 401},
		"wrong-token":   {"/api/whoami", strings.Repeat("0", 64), 401},
		"right-token":   {"/api/whoami", token, 200},
		"health":        {"/health", "", 200},
		"ready":         {"/readyz", "", 200},
	} {
		if r := c.HTTP("GET", try.path, try.token, ""); r.Code != try.want {
			t.Errorf("%s: got %d (%v), want %d", name, r.Code, r.Err, try.want)
		}
	}
	if r := c.ExecInput("sandbox", []byte(token), "demotools", "http", "POST", "http://127.0.0.1:18789/tools/invoke", "{}"); !strings.HasPrefix(r.Stdout, "404\n") {
		t.Errorf("demotools http: %v", r)
	}
	c.MustCtl("restart")
	if again := c.WaitNewGateway(record.Gateway.Process, 10*time.Second); again.Restarts != 1 {
		t.Errorf("restarts is %d", again.Restarts)
	}
	c.Stop()
	if code := c.WaitExit(time.Second); code != 0 {
		t.Errorf("exit code %d", code)
	}
}

// TestScanToken checks that the scanner finds each kind of leak.
func TestScanToken(t *testing.T) {
	c := Start(t, Options{})
	c.WaitServing(20 * time.Second)
	token := c.Token()
	scan := func(user string) Result {
		return c.ExecInput(user, []byte(token), "demotools", "scan-token")
	}
	if r := scan("sandbox"); r.Code != 0 || !strings.Contains(r.Stdout, "leaks=0") {
		t.Errorf("as the agent: %v", r)
	}
	if r := scan("gateway"); r.Code != 0 || !strings.Contains(r.Stdout, "leaks=0") {
		t.Errorf("as the gateway's user: %v", r)
	}
	c.Misbehave(map[string]any{"child": "/usr/local/bin/demotools"})
	Eventually(t, 5*time.Second, "the scanner to find an environment", func() error {
		if r := scan("gateway"); r.Code != 3 || !strings.Contains(r.Stdout, "/environ") || strings.Contains(r.Stdout, token[:16]) {
			return errors.New(r.String())
		}
		return nil
	})
	// These are forms of the token in files of the agent.
	for name, leak := range map[string]string{
		"whole": token, "part": "x" + token[20:36] + "y", "upper-case": strings.ToUpper(token[:20]),
	} {
		if r := c.ExecInput("sandbox", []byte(leak), "demotools", "write", "/tmp/"+name); r.Code != 0 {
			t.Fatal(r)
		}
		if r := scan("sandbox"); r.Code != 3 || !strings.Contains(r.Stdout, "/tmp/"+name) {
			t.Errorf("%s: %v", name, r)
		}
		c.Tools("sandbox", "rm", "/tmp/"+name)
	}
	c.ExecDetached("sandbox", "demotools", "decoy", "hidden", "argv0", "--token="+token)
	Eventually(t, 5*time.Second, "the scanner to find an argument", func() error {
		if r := scan("sandbox"); r.Code != 3 || !strings.Contains(r.Stdout, "/cmdline") {
			return errors.New(r.String())
		}
		return nil
	})
}

// recorder is a test that records its errors and does not fail.
type recorder struct {
	testing.TB
	errors []string
}

func (r *recorder) Errorf(format string, args ...any) {
	r.errors = append(r.errors, fmt.Sprintf(format, args...))
}

// TestNoTokenFinds checks that NoToken finds a leak in each place.
func TestNoTokenFinds(t *testing.T) {
	c := Start(t, Options{Flags: []string{}, Env: map[string]string{"DECOY": strings.Repeat("cd", 32)}})
	c.WaitServing(20 * time.Second)
	found := func(what string, look func(c *Container, t testing.TB)) {
		t.Helper()
		r := &recorder{TB: t}
		look(c.For(r), r)
		if !slices.ContainsFunc(r.errors, func(e string) bool { return strings.Contains(e, what) }) {
			t.Errorf("%s is not found: %q", what, r.errors)
		}
	}
	token, other := c.Token(), strings.Repeat("ab", 32)
	c.NoToken("as it is", token, other)
	found("inspect", func(c *Container, _ testing.TB) { c.NoToken("", other, strings.Repeat("cd", 32)) })
	for name, owner := range map[string]string{"/of-root": "", "/sandbox/of-the-agent": "sandbox"} {
		if r := c.ExecInput(owner, []byte("x"+token[8:40]), "demotools", "write", name); r.Code != 0 {
			t.Fatal(r)
		}
		found(name[1:], func(c *Container, _ testing.TB) { c.NoToken("", other, token) })
	}
	found("as the agent", func(c *Container, _ testing.TB) { c.NoToken("", token) })
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "leak"), []byte(strings.ToUpper(token)), 0o600); err != nil {
		t.Fatal(err)
	}
	found("/leak", func(_ *Container, t testing.TB) { NoTokenBelow(t, "", dir, other, token) })
}

// TestMisbehavior checks the effect of each misbehavior without our programs.
func TestMisbehavior(t *testing.T) {
	// No probe of PID 1 may come between the misbehavior and the check.
	slow := map[string]any{"gateway": map[string]any{"health": map[string]any{"interval": "10m"}}}
	answers := func(c *Container) Response { return c.HTTP("GET", "/health", "", "") }
	for name, m := range map[string]struct {
		misbehavior map[string]any
		seen        func(c *Container) error
	}{
		"deaf": {map[string]any{"deaf_after": "0s"}, func(c *Container) error {
			if r := answers(c); r.Err == nil || !strings.Contains(r.Err.Error(), "refused") {
				return fmt.Errorf("got %d %v", r.Code, r.Err)
			}
			return nil
		}},
		"drop": {map[string]any{"accept": "drop"}, func(c *Container) error {
			if r := answers(c); r.Err == nil {
				return fmt.Errorf("got %d", r.Code)
			}
			return nil
		}},
		"status": {map[string]any{"status": 503}, func(c *Container) error {
			if r := answers(c); r.Code != 503 {
				return fmt.Errorf("got %d %v", r.Code, r.Err)
			}
			return nil
		}},
		"fail-next": {map[string]any{"fail_next": 1}, func(c *Container) error {
			if first, second := answers(c), answers(c); first.Code != 503 || second.Code != 200 {
				return fmt.Errorf("got %d, %d", first.Code, second.Code)
			}
			return nil
		}},
		"other-token": {map[string]any{"token_mode": "other"}, func(c *Container) error {
			if r := c.HTTP("GET", "/api/whoami", c.Token(), ""); r.Code != 401 {
				return fmt.Errorf("got %d %v", r.Code, r.Err)
			}
			return nil
		}},
		"no-token": {map[string]any{"token_mode": "none"}, func(c *Container) error {
			if r := c.HTTP("GET", "/api/whoami", "", ""); r.Code != 200 {
				return fmt.Errorf("got %d %v", r.Code, r.Err)
			}
			return nil
		}},
		"zombies": {map[string]any{"zombies": 3}, func(c *Container) error {
			n := 0
			for _, p := range c.Processes() {
				if strings.HasPrefix(p.State, "Z") && p.UID == GatewayUID {
					n++
				}
			}
			if n != 3 {
				return fmt.Errorf("%d zombies: %v", n, c.Processes())
			}
			return nil
		}},
		"helper": {map[string]any{"helper": true, "hold_stdout": true}, func(c *Container) error {
			n := 0
			for _, p := range c.Processes() {
				if p.UID == GatewayUID && !strings.HasPrefix(p.State, "Z") {
					n++
				}
			}
			if n != 3 {
				return fmt.Errorf("%d processes of the gateway's: %v", n, c.Processes())
			}
			return nil
		}},
		"comm-and-cmdline": {map[string]any{"comm": ") S 1 1 (", "cmdline": "/bin/x"}, func(c *Container) error {
			pid := strconv.Itoa(c.Status().Gateway.PID)
			if comm := c.Tools("", "cat", "/proc/"+pid+"/comm"); comm != ") S 1 1 (\n" {
				return fmt.Errorf("comm is %q", comm)
			}
			if line := c.Tools("", "cat", "/proc/"+pid+"/cmdline"); !strings.HasPrefix(line, "/bin/x\x00") {
				return fmt.Errorf("cmdline is %q", line)
			}
			return nil
		}},
	} {
		t.Run(name, func(t *testing.T) {
			c := Start(t, Options{Config: slow})
			c.WaitServing(20 * time.Second)
			c.Misbehave(m.misbehavior)
			Eventually(t, 5*time.Second, name, func() error { return m.seen(c) })
		})
	}
}

// TestMisbehaviorAtStart checks the requests of the file at the start.
func TestMisbehaviorAtStart(t *testing.T) {
	c := Start(t, Options{Misbehave: map[string]any{"start_exit": 9}})
	r := c.WaitState(status.Backoff, 20*time.Second)
	if r.LastExit == nil || r.LastExit.Code != 9 {
		t.Errorf("last exit: %+v", r.LastExit)
	}
	c.SetMisbehave(nil)
	c.MustCtl("recover")
	c.WaitServing(10 * time.Second)

	c = Start(t, Options{NoState: true, Env: map[string]string{"DEMO_MISBEHAVE": `{"exit_code":7}`}})
	old := c.WaitServing(20 * time.Second)
	c.MustCtl("restart")
	if r := c.WaitNewGateway(old.Gateway.Process, 10*time.Second); r.LastExit == nil || r.LastExit.Code != 7 {
		t.Errorf("last exit: %+v", r.LastExit)
	}
}

// TestSnapshot checks the properties of a launch that tests compare.
func TestSnapshot(t *testing.T) {
	c := Start(t, Options{})
	c.WaitServing(20 * time.Second)
	var got struct {
		Cwd         string
		Session     bool
		Group       bool
		Descriptors map[string]string
		Limits      map[string]string
		Status      map[string]string
	}
	r := c.HTTP("GET", "/api/limits", c.Token(), "")
	if err := json.Unmarshal([]byte(r.Body), &got); err != nil {
		t.Fatal(err, r.Err)
	}
	if got.Cwd != "/var/lib/gateway" || !got.Session || !got.Group || got.Status["Umask"] == "" || got.Limits["Max open files"] == "" {
		t.Errorf("got %+v", got)
	}
	if len(got.Descriptors) != 3 || got.Descriptors["0"] != "/dev/null" {
		t.Errorf("descriptors: %v", got.Descriptors)
	}
	var names []string
	r = c.HTTP("GET", "/api/env", c.Token(), "")
	if err := json.Unmarshal([]byte(r.Body), &names); err != nil {
		t.Fatal(err, r.Err)
	}
	if !slices.Contains(names, "OPENCLAW_GATEWAY_TOKEN") || strings.Contains(r.Body, c.Token()) {
		t.Errorf("environment: %v", names)
	}
}

// TestForkTools checks the tools that attack at the pids limit, and that they leave
// no process.
func TestForkTools(t *testing.T) {
	c := Start(t, Options{Extra: []string{"--pids-limit", "128"}})
	c.WaitServing(20 * time.Second)
	if out := c.Tools("sandbox", "zombies", "2000"); out != "orphaned 2000\n" {
		t.Errorf("zombies: %q", out)
	}
	c.ExecDetached("sandbox", "demotools", "forkbomb", "2")
	Eventually(t, 10*time.Second, "a full pids limit", func() error {
		if n := len(c.Processes()); n < 80 {
			return fmt.Errorf("%d processes", n)
		}
		return nil
	})
	Eventually(t, 20*time.Second, "the end of the bomb", func() error {
		if n := len(c.Processes()); n > 2 {
			return fmt.Errorf("%d processes", n)
		}
		return nil
	})
	if !c.Running() {
		t.Error("the container is gone")
	}
}
