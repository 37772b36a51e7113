// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/gateway-init/gateway-init/gatewayctl/external"
	"github.com/gateway-init/gateway-init/gatewayctl/operate"
	"github.com/gateway-init/gateway-init/internal/config"
	"github.com/gateway-init/gateway-init/internal/procfs"
	"github.com/gateway-init/gateway-init/internal/reason"
	"github.com/gateway-init/gateway-init/internal/sockets"
	"github.com/gateway-init/gateway-init/internal/status"
	"github.com/gateway-init/gateway-init/internal/testenv"
	"github.com/gateway-init/gateway-init/supervisor/control"
	"github.com/gateway-init/gateway-init/supervisor/proof"
)

// TestLook checks that record and kernel agree, or that the verdict names the difference.
func TestLook(t *testing.T) {
	gone := fmt.Errorf("pid: %w", procfs.ErrGone)
	tests := map[string]struct {
		change func(w *fixture)
		check  string // the check that fails
		result string
		code   int
		reason reason.Reason
	}{
		"serving": {func(w *fixture) {}, "", "", 0, ""},
		"supervisor-gone": {func(w *fixture) { w.local.Process = func(p procfs.ID) error { return only(p.PID == 1, gone) } },
			operate.CheckSupervisor, status.Failed, 5, "no-supervisor"},
		"supervisor-replaced": {func(w *fixture) {
			w.local.Process = func(p procfs.ID) error { return only(p.PID == 1, procfs.ErrReplaced) }
		},
			operate.CheckSupervisor, status.Failed, 5, "no-supervisor"},
		"supervisor-unknown": {func(w *fixture) {
			w.local.Process = func(p procfs.ID) error { return only(p.PID == 1, errors.New("no /proc")) }
		},
			operate.CheckSupervisor, status.NotAvailable, 4, "unproven"},
		"gateway-gone": {func(w *fixture) { w.local.Process = func(p procfs.ID) error { return only(p.PID == 34, gone) } },
			operate.CheckGateway, status.Failed, 4, "identity-changed"},
		"gateway-unknown": {func(w *fixture) {
			w.local.Process = func(p procfs.ID) error { return only(p.PID == 34, errors.New("no /proc")) }
		},
			operate.CheckGateway, status.NotAvailable, 4, "unproven"},
		"gateway-replaced-meanwhile": {func(w *fixture) {
			n := 0
			w.local.Process = func(p procfs.ID) error {
				if p.PID == 34 {
					n++
				}
				return only(p.PID == 34 && n%2 == 0, procfs.ErrReplaced)
			}
		}, operate.CheckGateway, status.Failed, 4, "identity-changed"},
		"gateway-zombie": {func(w *fixture) {
			w.local.UIDs = func(int) (procfs.Status, error) { return procfs.Status{State: procfs.Zombie}, nil }
		},
			operate.CheckGateway, status.Failed, 4, "identity-changed"},
		"gateway-uid": {func(w *fixture) {
			w.local.UIDs = func(int) (procfs.Status, error) {
				return procfs.Status{State: procfs.Running, UIDs: [4]uint32{1001, 1001, 0, 1001}}, nil
			}
		},
			operate.CheckGatewayUID, status.Failed, 4, "identity-changed"},
		"gateway-uid-unknown": {func(w *fixture) {
			w.local.UIDs = func(int) (procfs.Status, error) { return procfs.Status{}, errors.New("unreadable") }
		},
			operate.CheckGatewayUID, status.NotAvailable, 4, "unproven"},
		"listener-missing": {func(w *fixture) { w.local.Listeners = func(uint16) ([]sockets.Listener, error) { return nil, nil } },
			operate.CheckListener, status.Failed, 4, "listener-missing"},
		"listener-foreign-beside": {func(w *fixture) {
			w.local.Listeners = func(uint16) ([]sockets.Listener, error) {
				return []sockets.Listener{listener("127.0.0.1:18789", 1001), listener("[::1]:18789", 1000)}, nil
			}
		}, operate.CheckListener, status.Failed, 4, "listener-foreign"},
		"listener-unknown": {func(w *fixture) {
			w.local.Listeners = func(uint16) ([]sockets.Listener, error) { return nil, errors.New("refused") }
		}, operate.CheckListener, status.NotAvailable, 4, "unproven"},
		"health-unknown":     {func(w *fixture) { w.record.Health.State = status.Unknown }, "", "", 4, "unproven"},
		"health-not-serving": {func(w *fixture) { w.record.Health.State = status.NotServing }, "", "", 4, "health-timeout"},
		"health-with-reason": {func(w *fixture) {
			w.record.Health.State, w.record.Reason = status.NotServing, "auth-mismatch"
		}, "", "", 4, "auth-mismatch"},
		"starting":   {func(w *fixture) { w.record.State = status.Starting }, "", "", 4, "unproven"},
		"stopping":   {func(w *fixture) { w.record.State, w.record.Goal = status.Stopping, status.GoalStop }, "", "", 4, "not-running"},
		"backoff":    {func(w *fixture) { w.record.State = status.Backoff }, "", "", 4, "exited"},
		"exiting":    {func(w *fixture) { w.record.State, w.record.Goal = status.Stopping, status.GoalExit }, "", "", 4, "shutting-down"},
		"no-gateway": {func(w *fixture) { w.record.Gateway = status.Gateway{} }, operate.CheckGateway, status.NotAvailable, 4, "not-running"},
		"fifo-missing": {func(w *fixture) { must(w.t, os.Remove(filepath.Join(w.path, control.Dir, control.FIFO))) },
			operate.CheckControl, status.Failed, 0, ""},
		"fifo-mode": {func(w *fixture) { must(w.t, os.Chmod(filepath.Join(w.path, control.Dir, control.FIFO), 0o666)) },
			operate.CheckControl, status.Failed, 0, ""},
		"fifo-not-read": {func(w *fixture) {
			file := filepath.Join(w.path, control.Dir, control.FIFO)
			must(w.t, os.Remove(file))
			must(w.t, syscall.Mkfifo(file, 0o600))
		}, operate.CheckControl, status.Failed, 5, "no-supervisor"},
		"token-missing":  {func(w *fixture) { must(w.t, os.Remove(w.record.Token.Path)) }, operate.CheckTokenFile, status.Failed, 0, ""},
		"token-mode":     {func(w *fixture) { must(w.t, os.Chmod(w.record.Token.Path, 0o440)) }, operate.CheckTokenFile, status.Failed, 0, ""},
		"token-replaced": {func(w *fixture) { w.record.Token.Inode++ }, operate.CheckTokenFile, status.Failed, 0, ""},
		"token-short": {func(w *fixture) {
			must(w.t, os.Remove(w.record.Token.Path))
			w.mint("short")
		}, operate.CheckTokenFile, status.Failed, 0, ""},
		"token-none":      {func(w *fixture) { w.record.Token = status.Token{} }, operate.CheckTokenFile, status.NotAvailable, 0, ""},
		"separation-none": {func(w *fixture) { w.record.Separation = "none" }, "", "", 0, ""},
		"separation-none-foreign": {func(w *fixture) { // the uid would be right
			w.record.Separation = "none"
			w.local.Held = func(ls []sockets.Listener, pid int) (proof.Ownership, []sockets.Listener, error) {
				return proof.Foreign, ls, nil
			}
		}, operate.CheckListener, status.Failed, 4, "listener-foreign"},
		"separation-none-other-group": {func(w *fixture) { // docker exec -u UID
			w.record.Separation, w.local.EGID = "none", 0
			w.local.Held = func(ls []sockets.Listener, pid int) (proof.Ownership, []sockets.Listener, error) {
				return proof.Foreign, ls, nil
			}
		}, operate.CheckListener, status.NotAvailable, 4, "unproven"},
		"separation-none-unseen": {func(w *fixture) {
			w.record.Separation = "none"
			w.local.Held = func([]sockets.Listener, int) (proof.Ownership, []sockets.Listener, error) {
				return proof.Missing, nil, sockets.ErrUnproven
			}
		}, operate.CheckListener, status.NotAvailable, 4, "unproven"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			w := newFixture(t)
			w.up()
			test.change(w)
			w.publish()
			v := w.local.Look(context.Background())
			if v.Code != test.code || v.Reason != test.reason || v.Serving != (test.code == 0) {
				t.Errorf("verdict %+v, want code %d, reason %q", v.Verdict, test.code, test.reason)
			}
			for _, c := range v.Checks {
				if c.Name == test.check && c.Result != test.result {
					t.Errorf("check %s is %s (%s), want %s", c.Name, c.Result, c.Detail, test.result)
				}
				if test.check == "" && c.Result != status.Held {
					t.Errorf("check %s is %s (%s)", c.Name, c.Result, c.Detail)
				}
			}
			w.want(w.run("health"), test.code, "serving", "")
			w.want(w.run("status"), test.code, "next ", "")
			w.want(w.run("status", "--json"), test.code, "{", "")
			got := decode(t, w.out.String())
			if got.ExitCode != test.code || got.Serving != v.Serving || got.Reason != test.reason || len(got.Verified) != 6 || got.Record == nil {
				t.Errorf("--json says %+v", got)
			}
		})
	}
}

func only(when bool, err error) error {
	if when {
		return err
	}
	return nil
}

func TestLookWithoutRecord(t *testing.T) {
	tests := map[string]struct {
		change func(w *fixture)
		code   int
		reason string
	}{
		"no-directory": {func(w *fixture) { must(w.t, os.RemoveAll(w.path)) }, 5, "no-supervisor"},
		"no-record":    {func(w *fixture) { must(w.t, os.Remove(filepath.Join(w.path, status.Name))) }, 5, "no-supervisor"},
		"garbage":      {func(w *fixture) { w.put("nonsense", 0o600) }, 1, "internal"},
		"other-schema": {func(w *fixture) { w.put(`{"schema":2}`, 0o600) }, 1, "internal"},
		"unsafe":       {func(w *fixture) { w.put(`{}`, 0o644) }, 1, "internal"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			w := newFixture(t)
			w.up()
			test.change(w)
			w.want(w.run("health"), test.code, "not serving: "+test.reason, "")
			w.want(w.run("status"), test.code, map[bool]string{true: "NO SUPERVISOR", false: test.reason}[test.code == 5], "")
			w.want(w.run("status", "--json"), test.code, `"record":null`, "")
			if got := decode(t, w.out.String()); string(got.Reason) != test.reason || got.Verified == nil {
				t.Errorf("--json says %+v", got)
			}
		})
	}
}

func (w *fixture) put(text string, mode os.FileMode) {
	file := filepath.Join(w.path, status.Name)
	must(w.t, os.WriteFile(file, []byte(text), mode))
	must(w.t, os.Chmod(file, mode))
}

// TestJSON checks the output, which is a contract; docs/status.md names every member.
func TestJSON(t *testing.T) {
	r := servingRecord()
	r.Token.UID, r.Token.GID = 1001, 1001
	v := operate.View{Record: &r, Checks: allHeld(), Verdict: operate.Judge(&r, allHeld())}
	text, err := renderJSON(v)
	must(t, err)
	golden(t, "status.json", text)
	doc, err := os.ReadFile(filepath.Join("..", "docs", "status.md"))
	must(t, err)
	for _, word := range []string{"schema", "serving", "exit_code", "reason", "detail", "next", "verified", "record",
		operate.CheckSupervisor, operate.CheckControl, operate.CheckGateway, operate.CheckGatewayUID, operate.CheckListener, operate.CheckTokenFile} {
		if !strings.Contains(string(doc), "`"+word+"`") {
			t.Errorf("docs/status.md does not name `%s`", word)
		}
	}
}

func TestWait(t *testing.T) {
	t.Run("serving", func(t *testing.T) {
		w := newFixture(t)
		w.up()
		w.want(w.run("wait"), exitOK, "serving: pid 34", "")
	})
	t.Run("becomes-serving", func(t *testing.T) {
		w := newFixture(t)
		w.up()
		asked := 0
		w.local.Listeners = func(uint16) ([]sockets.Listener, error) {
			if asked++; asked < 3 {
				return nil, nil
			}
			return []sockets.Listener{listener("127.0.0.1:18789", 1001)}, nil
		}
		w.want(w.run("wait"), exitOK, "serving: pid 34", "")
	})
	t.Run("supervisor-comes-up", func(t *testing.T) {
		w := newFixture(t)
		asked := 0
		w.local.Booting = func() bool {
			if asked++; asked == 2 {
				w.up()
			}
			return true
		}
		w.want(w.run("wait"), exitOK, "serving: pid 34", "")
	})
	t.Run("no-supervisor", func(t *testing.T) {
		w := newFixture(t)
		w.want(w.run("wait"), exitNoSupervisor, "", "no-supervisor")
	})
	t.Run("managed-one-comes-up", func(t *testing.T) { // root waits for it too
		testenv.Root(t)
		w := newFixture(t)
		w.local.Config = func() (*config.Config, error) { return &config.Config{}, nil }
		w.local.Patience = 600 * time.Millisecond
		looks := 0
		w.local.Find = func(context.Context) (*external.Supervisor, error) { looks++; return nil, external.ErrNone }
		w.want(w.run("wait"), exitNoSupervisor, "", "no-supervisor")
		if looks < 3 {
			t.Errorf("%d looks", looks)
		}
	})
	t.Run("deadline", func(t *testing.T) {
		w := newFixture(t)
		w.record.State, w.record.Goal = status.Stopped, status.GoalStop
		w.errTTY = true
		w.up()
		w.want(w.run("wait", "--timeout", "20ms"), exitDeadline, "", "not-running")
	})
}

// TestWatch checks for one output per change, and for the exit code of the last.
func TestWatch(t *testing.T) {
	for _, mode := range []string{"plain", "json", "terminal"} {
		t.Run(mode, func(t *testing.T) {
			w := newFixture(t)
			w.up()
			w.outTTY = mode == "terminal"
			ctx, cancel := context.WithCancel(context.Background())
			defer cancel()
			writes := 0
			var all bytes.Buffer
			w.app.out = writerFunc(func(b []byte) (int, error) {
				all.Write(b)
				switch writes++; writes {
				case 1:
					w.record.State, w.record.Goal = status.Stopped, status.GoalStop
					w.publish()
				case 2:
					cancel()
				}
				return len(b), nil
			})
			if code := w.watchUntil(ctx, format{json: mode == "json"}); code != exitNotServing || writes != 2 {
				t.Errorf("exit code %d after %d outputs", code, writes)
			}
			if has := strings.Contains(all.String(), clearScreen); has != (mode == "terminal") {
				t.Errorf("clears the screen: %v", has)
			}
			if n := strings.Count(all.String(), "\n"); mode == "json" && n != 2 {
				t.Errorf("%d lines, want 2", n)
			}
			if mode != "plain" {
				return
			}
			var labels []string // of the second output, which has only the rows that changed
			for line := range strings.Lines(all.String()) {
				fields := strings.Fields(line)
				if _, err := time.Parse(time.RFC3339, fields[0]); err != nil {
					t.Errorf("no time: %s", line)
				}
				labels = append(labels, fields[1])
			}
			if i := slices.Index(labels, "STOPPED"); labels[0] != "SERVING" || i < 0 ||
				!slices.Equal(labels[i:], []string{"STOPPED", "next:", "state:", "last"}) {
				t.Errorf("got %s", all.String())
			}
		})
	}
}
