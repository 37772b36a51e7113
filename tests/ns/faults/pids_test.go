// SPDX-License-Identifier: Apache-2.0

package faults

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/gateway-init/gateway-init/internal/status"
	"github.com/gateway-init/gateway-init/internal/testenv"
	"github.com/gateway-init/gateway-init/tests/harness"
	"github.com/gateway-init/gateway-init/tests/ns/box"
)

// TestRestartRefusedWithoutRoom checks that a restart leaves the old gateway alone when
// the pids limit leaves no room for the new one. The old gateway was stopped, and no new
// one could start for as long as the agent liked.
func TestRestartRefusedWithoutRoom(t *testing.T) {
	for name, args := range map[string][]string{
		"restart": {"restart"}, "rotation": {"restart", "--rotate-token"}, "drain": {"restart", "--drain", "5s"},
	} {
		t.Run(name, func(t *testing.T) {
			b := box.Start(t, box.Options{Pids: 200})
			before := b.WaitServing(10 * time.Second)
			b.LimitPids(b.PidsInUse() + 14) // enough for gatewayctl
			r := b.Ctl(append(args, "--timeout", "20s")...)
			if r.Code != 3 || !strings.HasPrefix(r.Stderr, "gatewayctl: cannot restart: no-room: ") ||
				!strings.Contains(r.Stderr, "pids are in use, and 16 more are needed") {
				t.Errorf("gatewayctl: %v", r)
			}
			testenv.Eventually(t, "the line about it", func() bool { // the log comes after the answer
				return strings.Contains(b.Log(), `"event":"refused","reason":"no-room","error":"`)
			})
			b.LimitPids(200)
			if now := b.WaitServing(10 * time.Second); now.Gateway.Process != before.Gateway.Process {
				t.Errorf("the gateway was %+v, is %+v", before.Gateway.Process, now.Gateway.Process)
			}
			b.MustCtl(args...)
		})
	}
}

// TestStartEndsTheAgentsNewestProcesses checks that an agent at the pids limit does not
// keep a gateway from starting, and that the container's command lives on. The gateway
// was not started for as long as the agent liked.
func TestStartEndsTheAgentsNewestProcesses(t *testing.T) {
	for name, agent := range map[string][]string{
		"holds":    {"linger", "100000", "3600"},
		"forkbomb": {"forkbomb", "3600"},
	} {
		for how, begin := range map[string]func(*testing.T, *box.Box, status.Record){
			"crash": func(t *testing.T, b *box.Box, r status.Record) { killGateway(t, b, r) },
			"start": func(t *testing.T, b *box.Box, _ status.Record) { send(t, b, "start") },
		} {
			t.Run(name+"-"+how, func(t *testing.T) {
				const limit = 128
				b := box.Start(t, box.Options{Pids: limit, Command: []string{"demotools", "sleep", "3600"}})
				before := b.WaitServing(10 * time.Second)
				waitCommand(b)
				if how == "start" {
					b.MustCtl("stop")
				}
				b.Start(box.SandboxUID, append([]string{"demotools"}, agent...)...)
				testenv.Eventually(t, "a full pids limit", func() bool { return b.PidsInUse() >= limit })
				begin(t, b, before)
				r := b.WaitRecord(20*time.Second, "another gateway that serves", func(r status.Record) error {
					if r.State != status.Running || r.Gateway.Process == before.Gateway.Process {
						return fmt.Errorf("%s, %s: %s", r.State, r.Reason, r.Detail)
					}
					return nil
				})
				if !strings.Contains(b.Log(), `"event":"evicted","processes":`) {
					t.Error("no line says that processes were ended")
				}
				if r.Command.State != "running" {
					t.Errorf("the command is %+v", r.Command)
				}
			})
		}
	}
}

// killGateway kills the gateway of r, from outside of the box.
func killGateway(t *testing.T, b *box.Box, r status.Record) {
	t.Helper()
	for _, pid := range hostPIDs(t, b) {
		f, err := harness.StatusFields(fmt.Sprintf("/proc/%d/status", pid))
		if inside := strings.Fields(f["NSpid"]); err == nil && len(inside) > 1 && inside[len(inside)-1] == strconv.Itoa(r.Gateway.PID) {
			if err := unix.Kill(pid, unix.SIGKILL); err != nil {
				t.Fatal(err)
			}
			return
		}
	}
	t.Fatalf("no process %d in the box", r.Gateway.PID)
}

// send sends a request without gatewayctl, for which there may be no pid.
func send(t *testing.T, b *box.Box, action string) {
	t.Helper()
	frame := "v1 " + strings.Repeat("ab", 32) + " " + action + "\n"
	f, err := os.OpenFile(b.Path(box.Runtime+"/control/request"), os.O_WRONLY|unix.O_NONBLOCK, 0)
	if err == nil {
		_, err = f.WriteString(frame)
		err = errors.Join(err, f.Close())
	}
	if err != nil {
		t.Fatal(err)
	}
}

// TestGatewayctlAtThePidsLimit checks that gatewayctl works, or says in one line that it
// has no room. It was a Go trace, with the exit code of a usage error.
func TestGatewayctlAtThePidsLimit(t *testing.T) {
	b := box.Start(t, box.Options{Pids: 200})
	b.WaitServing(10 * time.Second)
	works, refused := 0, 0
	for free := 1; free <= 16; free++ { // with none there is not even a fork
		for _, args := range [][]string{{"version"}, {"health"}, {"status"}, {"probe"}, {"wait", "--timeout", "1s"}, {"restart", "--timeout", "20s"}} {
			b.LimitPids(b.PidsInUse() + free)
			r := b.Ctl(args...)
			switch {
			case strings.HasPrefix(r.Stderr, "cannot run "): // the fork was refused
			case strings.HasPrefix(r.Stderr, "gatewayctl: cannot run: the pids limit leaves no room") && strings.Count(r.Stderr, "\n") == 1 && r.Code == 1:
				refused++
			case strings.Contains(r.Stderr, "goroutine"), r.Code == 2, r.Code < 0:
				t.Errorf("with %d free pids, %v: %v", free, args, r)
			default:
				works++
			}
		}
	}
	if works == 0 || refused == 0 {
		t.Errorf("%d work, %d are refused", works, refused)
	}
}

// TestWatchersAreBounded checks that processes that watch or wait, and that an interrupted
// docker exec left behind, do not take all pids: the oldest of them end.
func TestWatchersAreBounded(t *testing.T) {
	b := box.Start(t, box.Options{Misbehave: map[string]any{"not_ready": true}, Config: quiet})
	b.WaitState(status.Starting, 10*time.Second)
	watchers := func() (pids []int) {
		all := map[int]box.Process{}
		for _, p := range b.Processes() {
			if p.Comm == "gatewayctl" && !strings.HasPrefix(p.State, "Z") {
				all[p.PID] = p
			}
		}
		for pid, p := range all {
			if _, trial := all[p.Parent]; !trial { // it tries whether it may make threads
				pids = append(pids, pid)
			}
		}
		return pids
	}
	b.Start(0, "gatewayctl", "status", "--watch")
	testenv.Eventually(t, "the first watches", func() bool { return len(watchers()) == 1 })
	first := watchers()[0]
	for i := range 9 {
		before := watchers()
		b.Start(0, [][]string{{"gatewayctl", "status", "--watch"}, {"gatewayctl", "wait", "--timeout", "1h"}}[i%2]...)
		testenv.Eventually(t, "one more, and not more than four", func() bool {
			now := watchers()
			more := slices.ContainsFunc(now, func(pid int) bool { return !slices.Contains(before, pid) })
			return more && len(now) <= 4 && len(now) >= min(i+2, 4)-1 // two that start at the same time may end one more
		})
	}
	if slices.Contains(watchers(), first) {
		t.Errorf("the oldest, %d, is still there", first)
	}
}
