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

// with is a sidecar with one more setting.
func with(sidecar map[string]any, key, value string) map[string]any {
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

// given is the value of a variable of a process, as the host reads it once the
// process is its program: it is "running" a moment before.
func given(t *testing.T, c *harness.Container, pid int, name string) (value string) {
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

// A sidecar of the operator's gets the token that it cannot read: the one in
// force, at each of its starts.
func TestOperatorsToken(t *testing.T) {
	t.Parallel()
	c := harness.Start(t, harness.Options{Config: map[string]any{"sidecars": []any{
		with(tool("pair", "operator", "sleep", "3600"), "token_env", "PAIR_TOKEN"),
	}}})
	is := func(old int) int {
		t.Helper()
		pid := sidecars(c, "pair")["pair"].PID
		if pid == old || given(t, c, pid, "PAIR_TOKEN") != c.Token() {
			t.Errorf("process %d, was %d: it has another token than the one in force", pid, old)
		}
		return pid
	}
	first := is(0)
	token := c.Token()
	restarted(t, c.Ctl("restart", "--rotate-token"))
	if c.Token() == token {
		t.Fatal("the token was not rotated")
	}
	second := is(first)
	c.MustCtl("stop")
	c.MustCtl("start")
	third := is(second)

	// A spoiled file keeps the sidecar away, alone, and it comes back by itself.
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

// A one-shot is tried until it succeeds, and then rests until the gateway's next
// start. Neither keeps anything else down.
func TestOneShot(t *testing.T) {
	t.Parallel()
	once := func(name, user string, args ...string) map[string]any {
		return with(tool(name, user, args...), "restart", "on-failure")
	}
	c := harness.Start(t, harness.Options{Config: map[string]any{"sidecars": []any{
		once("succeeds", "operator", "exit", "0"), with(once("fails", "operator", "exit", "4"), "pending", "no failure yet"),
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
	restarted(t, c.Ctl("restart"))
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

// After a crash the sidecars of other users are kept, but for one that has the
// token: it is killed with its gateway, because the port can be another's by
// then, and it starts again when the next gateway is proven. The next gateway has
// a new token. Those of the gateway's user, which the sweep ends, come back beside
// the next gateway, too, and not before. Where all are one user the sweep ends
// what the gateway left, and no sidecar is that.
func TestSidecarsOverACrash(t *testing.T) {
	t.Parallel()
	c := harness.Start(t, harness.Options{Config: map[string]any{
		"gateway": map[string]any{"restart": map[string]any{"backoff_min": "200ms", "backoff_max": "1h"}},
		"sidecars": []any{
			tool("node", "sandbox", "sleep", "3600"), tool("helper", "gateway", "sleep", "3600"),
			with(tool("pair", "operator", "sleep", "3600"), "token_env", "PAIR_TOKEN"),
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
		harness.Eventually(t, boot, "the sidecars of that uid, each with its program", func() error { // not its launch
			if n := count(t, c, harness.GatewayUID, "demotools"); n != helpers {
				return fmt.Errorf("%d, want %d", n, helpers)
			}
			return nil
		})
		if c.Token() == token {
			t.Error("the token that pair had when the gateway crashed is still in force")
		}
		token = c.Token()
		if given(t, c, now["pair"].PID, "PAIR_TOKEN") != token {
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
	c.SetMisbehave(map[string]any{"start_exit": 78}) // held: an hour
	hostKill(t, c, c.Status().Gateway.PID)
	c.WaitStatus(boot, "the backoff of that exit", func(v harness.View) error { // the one of the kill comes first
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
	restarted(t, c.Ctl("restart"))
	now := all()
	if given(t, c, now["pair"].PID, "PAIR_TOKEN") != c.Token() || c.Token() == token {
		t.Errorf("pair was %+v and is %+v, or it has not a new token", old["pair"], now["pair"])
	}
}

// allWait tells whether every sidecar waits for a gateway.
func allWait(r *status.Record) error {
	for _, s := range r.Sidecars {
		if r.State != "backoff" || s.State != "waiting" || s.PID != 0 {
			return fmt.Errorf("%s, %+v", r.State, s)
		}
	}
	return nil
}

// One that ignores SIGTERM delays nothing and does not outlive its grace, and
// there are never two of it.
func TestStubbornSidecar(t *testing.T) {
	t.Parallel()
	c := harness.Start(t, harness.Options{Config: map[string]any{
		"gateway":  map[string]any{"stop": map[string]any{"grace": "15s"}},
		"sidecars": []any{tool("deaf", "operator", "stubborn", "3600")},
	}})
	first := sidecars(c, "deaf")["deaf"].PID
	waitLog(t, c, "ignoring")
	killed := `"origin":"deaf","event":"killed","pid":` + strconv.Itoa(first)
	restarted(t, c.Ctl("restart"))
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

// What a sidecar's program leaves in its process group ends with it: the next
// one would meet it at its port and its files.
func TestSidecarsGroup(t *testing.T) {
	t.Parallel()
	c := harness.Start(t, harness.Options{Config: map[string]any{"sidecars": []any{
		with(tool("leaves", "operator", "linger", "5", "3600"), "restart", "never"),
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
