// SPDX-License-Identifier: Apache-2.0

//go:build long

package openclaw

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/gateway-init/gateway-init/internal/status"
	"github.com/gateway-init/gateway-init/tests/harness"
)

// TestDrain restarts during a run of the agent. After SIGTERM the gateway drains
// the run for up to 315 seconds, and further signals do not shorten that. restart
// --drain lets the run end, tools included. Without --drain the run ends with the
// grace.
func TestDrain(t *testing.T) {
	c := shared(t)
	waitTools(t, c)
	run := func(hang string, calls ...call) chan harness.Result {
		list, err := json.Marshal(calls)
		if err != nil {
			t.Fatal(err)
		}
		done := make(chan harness.Result, 1)
		before := strings.Count(c.Logs(), "hang "+hang)
		go func() {
			done <- client(c, "openclaw", "agent", "--agent", "main", "--session-key", fmt.Sprintf("agent:main:drain%d", time.Now().UnixNano()),
				"--message", "HANG "+seconds(hang)+"\nCALLS "+string(list), "--json")
		}()
		harness.Eventually(t, 3*time.Minute, "the model to be asked", func() error {
			if strings.Count(c.Logs(), "hang "+hang) == before {
				return fmt.Errorf("not yet")
			}
			return nil
		})
		return done
	}
	t.Run("drain", func(t *testing.T) {
		old := c.Status()
		done := run("15s", shell("id -u"))
		r := c.For(t).Ctl("restart", "--drain", "3m", "--timeout", "5m")
		if r.Code != 0 || !strings.Contains(r.Stderr, "drain") {
			t.Fatalf("%v", r)
		}
		answer := <-done
		results, err := resultsOf(answer.Stdout)
		if err != nil || len(results) != 1 || !strings.Contains(results[0], "9002") {
			t.Errorf("the run ended with %q, %v: %v", results, err, answer)
		}
		if e := c.Status().LastExit; e.PID != old.Gateway.PID || e.Code != 0 || e.Signal != 0 || !e.Requested {
			t.Errorf("last exit: %+v", e)
		}
	})
	t.Run("grace", func(t *testing.T) {
		old := c.Status()
		done := run("5m0s")
		c.For(t).MustCtl("restart", "--timeout", "4m")
		<-done
		if e := c.Status().LastExit; e.PID != old.Gateway.PID || e.Signal != 9 || !e.Requested || e.Failure {
			t.Errorf("last exit: %+v", e)
		}
	})
}

// writeConf replaces the gateway's own configuration.
func writeConf(t *testing.T, dir string, conf map[string]any) {
	t.Helper()
	data := harness.MergedJSON(t, "image/openclaw/openclaw.json", withModel(conf))
	if err := os.WriteFile(filepath.Join(dir, "openclaw.json.new"), data, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(filepath.Join(dir, "openclaw.json.new"), filepath.Join(dir, "openclaw.json")); err != nil {
		t.Fatal(err)
	}
}

// confDir returns the directory of the host that options mounts.
func confDir(o harness.Options) string {
	for _, v := range o.Extra {
		if dir, ok := strings.CutSuffix(v, ":/etc/openclaw:ro"); ok {
			return dir
		}
	}
	return ""
}

// TestAuthMismatch gives the gateway a configuration of its own, which beats its
// environment. An attacker who writes a token or "no authentication" there controls
// the gateway. Such a gateway must not be reported as serving.
func TestAuthMismatch(t *testing.T) {
	takePlace(t)
	needImage(t)
	command := []any{"/usr/local/bin/node", "/usr/local/lib/node_modules/openclaw/openclaw.mjs", "gateway", "run"}
	auth := func(a map[string]any) map[string]any {
		return map[string]any{"gateway": map[string]any{"mode": "local", "port": 18789, "bind": "loopback", "auth": a}}
	}
	for name, try := range map[string]struct {
		conf, over map[string]any
		says       string
	}{
		"token": {auth(map[string]any{"mode": "token", "token": strings.Repeat("5", 64)}), nil, "gateway.auth.token"},
		// --auth token would override the configuration.
		"no-auth": {auth(map[string]any{"mode": "none"}), map[string]any{"gateway": map[string]any{"command": command}}, "gateway.auth.mode"},
	} {
		t.Run(name, func(t *testing.T) {
			o := options(t, try.conf, try.over)
			c := harness.Start(t, o)
			r := c.WaitStatus(ready, "auth-mismatch", func(v harness.View) error {
				if v.Reason != "auth-mismatch" {
					return fmt.Errorf("%s: %s", v.Reason, v.Detail)
				}
				return nil
			})
			if r.State == status.Running || r.Proof.Auth != status.Failed {
				t.Errorf("state %s, proof %+v", r.State, r.Proof)
			}
			v := c.View()
			if v.Serving || !strings.Contains(v.Detail+v.Next, try.says) {
				t.Errorf("it says %q and %q", v.Detail, v.Next)
			}
			if r := c.Ctl("health"); r.Code != 4 {
				t.Errorf("health: %v", r)
			}
			writeConf(t, confDir(o), nil)
			c.MustCtl("restart", "--timeout", "4m")
			if r := c.Status(); r.State != status.Running || r.Proof.Auth != status.Held {
				t.Errorf("repaired: state %s, proof %+v", r.State, r.Proof)
			}
		})
	}
}

// TestExit78 checks the exit code of a gateway that needs a repair before a
// restart. It is restarted slowly, the status gives the reason, and after the
// repair one command suffices.
func TestExit78(t *testing.T) {
	takePlace(t)
	o := options(t, map[string]any{"nosuch": true}, nil)
	c := harness.Start(t, o)
	r := c.WaitState(status.Backoff, ready)
	if r.LastExit.Code != 78 || r.Backoff.DelayMS != 30_000 || !strings.Contains(r.Detail, "configuration is invalid") {
		t.Errorf("exit %+v, backoff %+v, detail %q", r.LastExit, r.Backoff, r.Detail)
	}
	writeConf(t, confDir(o), nil)
	c.MustCtl("recover", "--timeout", "4m")
	if v := c.View(); !v.Serving {
		t.Errorf("after recover: %s %s", v.Reason, v.Detail)
	}
}

// seconds converts a duration to the fake model's format.
func seconds(text string) string {
	d, _ := time.ParseDuration(text)
	return fmt.Sprint(d.Seconds())
}
