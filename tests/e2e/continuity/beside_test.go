// SPDX-License-Identifier: Apache-2.0

package continuity

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/gateway-init/gateway-init/internal/status"
	"github.com/gateway-init/gateway-init/tests/harness"
)

// withSetting adds a setting to a sidecar.
func withSetting(sidecar map[string]any, key, value string) map[string]any {
	sidecar[key] = value
	return sidecar
}

// sidecars waits until all of these run, and returns them by name.
func sidecars(c *harness.Container, running ...string) map[string]status.Child {
	all := map[string]status.Child{}
	c.WaitStatus(boot, fmt.Sprintf("%v to run beside a gateway that serves", running), func(v harness.View) error {
		clear(all)
		for _, s := range v.Record.Sidecars {
			all[s.Name] = s
		}
		if !v.Serving {
			return fmt.Errorf("%s: %s", v.Reason, v.Detail)
		}
		for _, name := range running {
			if all[name].State != "running" {
				return fmt.Errorf("%s is %+v", name, all[name])
			}
		}
		return nil
	})
	return all
}

// environValue returns the value of a variable of a process. It waits, because a
// process is "running" a moment before it executes its program.
func environValue(t *testing.T, c *harness.Container, pid int, name string) (value string) {
	t.Helper()
	harness.Eventually(t, boot, name+" in its environment, once", func() error {
		data, err := os.ReadFile(fmt.Sprintf("/proc/%d/environ", c.HostPIDOf(pid)))
		if err != nil {
			return err
		}
		found := 0
		for _, kv := range bytes.Split(data, []byte{0}) {
			if v, ok := bytes.CutPrefix(kv, []byte(name+"=")); ok {
				value, found = string(v), found+1
			}
		}
		if found != 1 {
			return fmt.Errorf("process %d has it %d times", pid, found)
		}
		return nil
	})
	return value
}

func hostKill(t *testing.T, c *harness.Container, pid int) {
	t.Helper()
	if err := syscall.Kill(c.HostPIDOf(pid), syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
}

// A sidecar that runs as the operator cannot read the token file. It gets the token
// in force at each of its starts.
func TestOperatorsToken(t *testing.T) {
	t.Parallel()
	c := harness.Start(t, harness.Options{Config: map[string]any{"sidecars": []any{
		withSetting(tool("pair", "operator", "sleep", "3600"), "token_env", "PAIR_TOKEN"),
	}}})
	is := func(old int) int {
		t.Helper()
		pid := sidecars(c, "pair")["pair"].PID
		if pid == old || environValue(t, c, pid, "PAIR_TOKEN") != c.Token() {
			t.Errorf("process %d, was %d: it has another token than the one in force", pid, old)
		}
		return pid
	}
	first := is(0)
	token := c.Token()
	checkRestarted(t, c.Ctl("restart", "--rotate-token"))
	if c.Token() == token {
		t.Fatal("the token was not rotated")
	}
	second := is(first)
	c.MustCtl("stop")
	c.MustCtl("start")
	third := is(second)

	// A token file with a wrong mode keeps only the sidecar down. Once the file is
	// right, the sidecar starts by itself.
	file := c.RuntimePath("gateway-token")
	if err := os.Chmod(file, 0o440); err != nil {
		t.Fatal(err)
	}
	hostKill(t, c, third)
	r := c.WaitStatus(boot, "a hand-over that fails", func(v harness.View) error {
		if s := v.Record.Sidecars[0]; s.State != "failed" || !strings.HasPrefix(s.Detail, "cannot hand over the token") || !v.Serving {
			return fmt.Errorf("%+v, serving %v", s, v.Serving)
		}
		return nil
	})
	if n := count(t, c, harness.OperatorUID, "demotools"); n != 0 || r.Crashes != 0 {
		t.Errorf("%d of the sidecar's processes, %d crashes", n, r.Crashes)
	}
	if err := os.Chmod(file, 0o400); err != nil {
		t.Fatal(err)
	}
	is(third)
	if c.Logs(); strings.Contains(c.Logs(), c.Token()[:16]) {
		t.Error("the log has the token")
	}
}

// A one-shot is tried until it succeeds, and runs again at the gateway's next start.
// One that fails keeps nothing else down.
func TestOneShot(t *testing.T) {
	t.Parallel()
	once := func(name, user string, args ...string) map[string]any {
		return withSetting(tool(name, user, args...), "restart", "on-failure")
	}
	c := harness.Start(t, harness.Options{Config: map[string]any{"sidecars": []any{
		once("succeeds", "operator", "exit", "0"), withSetting(once("fails", "operator", "exit", "4"), "pending", "no failure yet"),
		once("long", "sandbox", "trap", "long", "1", "0"), tool("node", "sandbox", "sleep", "3600"),
	}}})
	runs := func(name string) int {
		return strings.Count(c.Logs(), `"origin":"`+name+`","event":"sidecar-started"`)
	}
	settled := func(tries int) {
		t.Helper()
		sidecars(c, "long", "node")
		c.WaitStatus(boot, "the one-shots", func(v harness.View) error {
			s := v.Record.Sidecars
			if s[0].State != "done" || s[0].Detail != "ended with exit code 0" || s[0].Restarts != 0 || s[1].Restarts < tries || !v.Serving {
				return fmt.Errorf("%+v", s)
			}
			return nil
		})
	}
	settled(2)
	if n := runs("succeeds"); n != 1 {
		t.Errorf("it ran %d times", n)
	}
	want := fmt.Sprintf("sidecar       succeeds done, uid %d (ended with exit code 0)", harness.UID(t, harness.OperatorUID))
	if text := c.Ctl("status", "-v").Unwrapped().Stdout; !strings.Contains(text, want) {
		t.Errorf("no %q in\n%s", want, text)
	}
	// The first line says which sidecar is missing, in the configuration's words if it
	// has some, and the gateway serves all the same.
	if r := c.Ctl("status"); r.Code != 0 || !strings.HasPrefix(r.Stdout, "SERVING, no failure yet, long not done yet\n") {
		t.Errorf("status: %v", r)
	}
	checkRestarted(t, c.Ctl("restart"))
	settled(2)
	if n := runs("succeeds"); n != 2 {
		t.Errorf("after a restart it has run %d times", n)
	}
	waitLog(t, c, "long waits")
	c.Stop()
	if err := logHas(c, "long got terminated"); err != nil {
		t.Error(err)
	}
	if code := c.WaitExit(time.Second); code != 0 {
		t.Errorf("exit code %d: something had to be killed", code)
	}
}

// After a crash the sidecars of other users are kept, except one that has the token.
// It is killed with its gateway, because another process may have the port by then.
// It starts again when the next gateway is proven, which has a new token. The sweep
// ends the sidecars of the gateway's user, and they start again beside the next
// gateway. If all processes have one user, the sweep ends only descendants of the
// gateway, and no sidecar is one.
func TestSidecarsOverACrash(t *testing.T) {
	t.Parallel()
	c := harness.Start(t, harness.Options{Config: map[string]any{
		"gateway": map[string]any{"restart": map[string]any{"backoff_min": "200ms", "backoff_max": "1h"}},
		"sidecars": []any{
			tool("node", "sandbox", "sleep", "3600"), tool("helper", "gateway", "sleep", "3600"),
			withSetting(tool("pair", "operator", "sleep", "3600"), "token_env", "PAIR_TOKEN"),
		},
	}})
	all := func() map[string]status.Child { return sidecars(c, "node", "helper", "pair") }
	old, token := all(), c.Token()
	judge := func(now map[string]status.Child) {
		t.Helper()
		stay, again, helpers := []string{"node"}, []string{"pair"}, 1
		if harness.NonRoot(t) {
			stay, helpers = append(stay, "helper"), 3 // all three have the gateway's uid
		} else {
			again = append(again, "helper")
		}
		for _, name := range stay {
			if now[name].PID != old[name].PID || now[name].Restarts != 0 {
				t.Errorf("%s was %+v and is %+v", name, old[name], now[name])
			}
		}
		for _, name := range again {
			if now[name].PID == old[name].PID || now[name].Restarts != 0 {
				t.Errorf("%s was %+v and is %+v", name, old[name], now[name])
			}
		}
		harness.Eventually(t, boot, "the sidecars of that uid, each with its program", func() error { // launches have ended
			if n := count(t, c, harness.GatewayUID, "demotools"); n != helpers {
				return fmt.Errorf("%d, want %d", n, helpers)
			}
			return nil
		})
		if c.Token() == token {
			t.Error("the token that pair had when the gateway crashed is still in force")
		}
		token = c.Token()
		if environValue(t, c, now["pair"].PID, "PAIR_TOKEN") != token {
			t.Error("the token in force is another one")
		}
		old = now
	}
	for range 2 {
		gateway := c.Status().Gateway
		hostKill(t, c, gateway.PID)
		c.WaitNewGateway(gateway.Process, boot)
		judge(all())
	}
	// While no gateway serves, nothing is started.
	c.SetMisbehave(map[string]any{"start_exit": 78}) // a hold code, so it waits an hour
	hostKill(t, c, c.Status().Gateway.PID)
	c.WaitStatus(boot, "the backoff of that exit", func(v harness.View) error { // the kill has a backoff before it
		if r := v.Record; r == nil || r.State != status.Backoff || r.LastExit == nil || r.LastExit.Code != 78 {
			return fmt.Errorf("record: %+v", r)
		}
		return nil
	})
	if harness.NonRoot(t) {
		hostKill(t, c, old["helper"].PID) // no sweep has ended it
	}
	hostKill(t, c, old["node"].PID)
	c.WaitStatus(boot, "no sidecar without a gateway", func(v harness.View) error {
		return allWait(v.Record)
	})
	harness.Never(t, 3*time.Second, "a sidecar without a gateway", func() error {
		r := c.Status()
		n := count(t, c, harness.OperatorUID, "demotools")
		if !harness.NonRoot(t) {
			n += count(t, c, harness.SandboxUID, "demotools") + count(t, c, harness.GatewayUID, "demotools")
		}
		if n != 0 {
			return fmt.Errorf("%d run: %v", n, c.Processes())
		}
		return allWait(&r)
	})
	c.SetMisbehave(nil)
	checkRestarted(t, c.Ctl("restart"))
	now := all()
	if environValue(t, c, now["pair"].PID, "PAIR_TOKEN") != c.Token() || c.Token() == token {
		t.Errorf("pair was %+v and is %+v, or it has not a new token", old["pair"], now["pair"])
	}
}

// allWait returns an error unless every sidecar waits for a gateway.
func allWait(r *status.Record) error {
	for _, s := range r.Sidecars {
		if r.State != "backoff" || s.State != "waiting" || s.PID != 0 {
			return fmt.Errorf("%s, %+v", r.State, s)
		}
	}
	return nil
}

// A sidecar that ignores SIGTERM delays nothing and does not outlive its grace. It
// never runs twice at a time.
func TestStubbornSidecar(t *testing.T) {
	t.Parallel()
	c := harness.Start(t, harness.Options{Config: map[string]any{
		"gateway":  map[string]any{"stop": map[string]any{"grace": "15s"}},
		"sidecars": []any{tool("deaf", "operator", "stubborn", "3600")},
	}})
	first := sidecars(c, "deaf")["deaf"].PID
	waitLog(t, c, "ignoring")
	killed := `"origin":"deaf","event":"killed","pid":` + strconv.Itoa(first)
	checkRestarted(t, c.Ctl("restart"))
	if logHas(c, killed) == nil {
		t.Error("it kept the restart waiting until its grace was over")
	}
	second := 0
	harness.Eventually(t, boot, "the next one, and never two", func() error {
		if n := count(t, c, harness.OperatorUID, "demotools"); n > 1 {
			t.Fatalf("%d of it: %v", n, c.Processes())
		}
		if second = c.Status().Sidecars[0].PID; second == 0 || second == first {
			return errors.New("it is the same")
		}
		return nil
	})
	if err := logHas(c, killed); err != nil {
		t.Error(err)
	}
	c.MustCtl("stop")
	harness.Eventually(t, boot, "its end", func() error {
		if n := count(t, c, harness.OperatorUID, "demotools"); n != 0 {
			return fmt.Errorf("%d are left", n)
		}
		return nil
	})
	if r := c.Status().Sidecars[0]; r.PID != 0 || r.Restarts != 0 {
		t.Errorf("it is %+v", r)
	}
}

// The processes in a sidecar's process group end with it. They could hold the port
// and the files that the next one needs.
func TestSidecarsGroup(t *testing.T) {
	t.Parallel()
	c := harness.Start(t, harness.Options{Config: map[string]any{"sidecars": []any{
		withSetting(tool("leaves", "operator", "linger", "5", "3600"), "restart", "never"),
	}}})
	c.WaitStatus(boot, "its end", func(v harness.View) error {
		if s := v.Record.Sidecars[0]; s.State != "stopped" || s.Detail != "ended with exit code 0" {
			return fmt.Errorf("%+v", s)
		}
		return nil
	})
	harness.Eventually(t, 5*time.Second, "nothing of its group", func() error {
		for _, p := range c.Processes() {
			// linger is the only tool here.
			if p.UID == int(harness.UID(t, harness.OperatorUID)) && p.Comm == "demotools" {
				return fmt.Errorf("%+v is left", p)
			}
		}
		return nil
	})
}
