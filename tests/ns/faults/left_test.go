// SPDX-License-Identifier: Apache-2.0

package faults

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/gateway-init/gateway-init/internal/status"
	"github.com/gateway-init/gateway-init/internal/testenv"
	"github.com/gateway-init/gateway-init/tests/ns/box"
)

// saved is the file of a saver.
const saved = "/tmp/saved"

// beside returns a configuration with a sidecar that runs a tool.
func beside(grace string, sidecar map[string]any, tool ...string) map[string]any {
	sidecar["name"], sidecar["command"] = "side", append([]string{"/usr/local/bin/demotools"}, tool...)
	return map[string]any{"sidecars": []any{sidecar}, "gateway": map[string]any{
		"stop": map[string]any{"grace": grace}, "health": map[string]any{"interval": "10m"}}}
}

// waitSidecar waits until the sidecar runs, with another process in its group that has
// said text so often. It returns the pids of both.
func waitSidecar(t *testing.T, b *box.Box, text string, times int) (leader, other int) {
	t.Helper()
	testenv.Eventually(t, fmt.Sprintf("%q, %d times", text, times), func() bool { return strings.Count(b.Log(), text) == times })
	b.WaitRecord(10*time.Second, "a sidecar with two processes", func(r status.Record) error {
		leader, other = r.Sidecars[0].PID, 0
		for _, p := range b.Processes() {
			if p.Parent == leader && leader != 0 {
				other = p.PID
			}
		}
		if other == 0 {
			return fmt.Errorf("%+v", b.Processes())
		}
		return nil
	})
	return leader, other
}

// sidecarEvents returns the log's lines about starts of the sidecar and about the
// processes that it left behind, in one word each. PID 1 writes its lines a little later
// than a process does, so a line about the sidecar's end has no sure place among them.
func sidecarEvents(log string) (all []string) {
	for line := range strings.Lines(log) {
		for text, word := range map[string]string{
			`"event":"sidecar-started"`: "started", "a saver has saved": "saved",
			"the sidecar left behind did not end within its grace": "killed",
		} {
			if strings.Contains(line, text) {
				all = append(all, word)
			}
		}
	}
	return all
}

// TestStopReachesWhatASidecarLeavesBehind checks that the other processes of a sidecar's
// group have SIGTERM, SIGCONT and the grace when its program has ended, as what a gateway
// leaves behind. The next sidecar starts when they are gone. One that is killed at once
// saves nothing, so a saver that has saved was not.
func TestStopReachesWhatASidecarLeavesBehind(t *testing.T) {
	kill := func(b *box.Box, leader int) { b.Tools(0, "sigsend", strconv.Itoa(leader), "KILL") }
	const again, once = "started saved started", "started saved"
	for name, c := range map[string]struct {
		sidecar map[string]any
		leader  []string
		end     func(b *box.Box, leader int)
		stopped bool // the other process is stopped, so it does not see SIGTERM alone
		events  string
	}{
		"stop":    {nil, nil, func(b *box.Box, _ int) { b.MustCtl("stop") }, false, once},
		"restart": {nil, nil, func(b *box.Box, _ int) { b.MustCtl("restart") }, false, again},
		"container": {nil, nil, func(b *box.Box, _ int) {
			b.Signal(unix.SIGTERM)
			if s := b.Wait(testenv.AtMost(t, 20*time.Second)); s.ExitStatus() != 0 {
				t.Errorf("the container ended with %d", s.ExitStatus())
			}
		}, false, once},
		"crash":           {nil, nil, kill, false, again},
		"crash-stopped":   {nil, nil, kill, true, again},
		"restart-stopped": {nil, nil, func(b *box.Box, _ int) { b.MustCtl("restart") }, true, again},
		"of-the-sandbox":  {map[string]any{"user": "sandbox"}, nil, kill, false, again},
		"started-once":    {map[string]any{"restart": "never"}, nil, kill, false, once},
		"one-shot": {map[string]any{"restart": "on-failure"}, []string{"trap", "one", "0", "0"}, func(b *box.Box, leader int) {
			b.Tools(0, "sigsend", strconv.Itoa(leader), "TERM")
		}, false, once},
		"has-the-token": {map[string]any{"token_env": "TOKEN"}, nil, kill, false, "started started"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			sidecar := map[string]any{"user": "operator"}
			for k, v := range c.sidecar {
				sidecar[k] = v
			}
			if c.leader == nil {
				c.leader = []string{"sleep", "1000"}
			}
			tool := append([]string{"together", "saver", saved, "0.5", "--"}, c.leader...)
			b := box.Start(t, box.Options{Config: beside("1m", sidecar, tool...)})
			b.WaitServing(10 * time.Second)
			leader, other := waitSidecar(t, b, "a saver runs", 1)
			if c.stopped {
				b.Tools(0, "sigsend", strconv.Itoa(other), "STOP")
			}
			c.end(b, leader)
			testenv.Eventually(t, c.events, func() bool { return len(sidecarEvents(b.Log())) >= strings.Count(c.events, " ")+1 })
			if got := strings.Join(sidecarEvents(b.Log()), " "); got != c.events {
				t.Errorf("%s, want %s", got, c.events)
			}
			if b.Ended() {
				return
			}
			_, err := os.Stat(b.Path(saved))
			if want := strings.Contains(c.events, "saved"); want != (err == nil) || !want && !errors.Is(err, os.ErrNotExist) {
				t.Errorf("its file: %v", err)
			}
		})
	}
}

// TestWhatASidecarLeavesBehindIsKilledAfterTheGrace checks processes that ignore SIGTERM,
// also those that fork without end, and the log line about them. A process that has left
// the group is not found.
func TestWhatASidecarLeavesBehindIsKilledAfterTheGrace(t *testing.T) {
	for name, c := range map[string]struct {
		other []string
		says  string
		end   func(b *box.Box, leader int)
	}{
		"crash":   {[]string{"stubborn", "1000"}, "ignoring ", func(b *box.Box, leader int) { b.Tools(0, "sigsend", strconv.Itoa(leader), "KILL") }},
		"restart": {[]string{"stubborn", "1000"}, "ignoring ", func(b *box.Box, _ int) { b.MustCtl("restart") }},
		"forks":   {[]string{"breed", "100"}, "a breeder runs", func(b *box.Box, leader int) { b.Tools(0, "sigsend", strconv.Itoa(leader), "KILL") }},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tool := append(append([]string{"together"}, c.other...), "--", "orphan-then", "trap", "away", "0", "0", "--", "sleep", "1000")
			b := box.Start(t, box.Options{Config: beside("300ms", map[string]any{"user": "sandbox"}, tool...)})
			b.WaitServing(10 * time.Second)
			testenv.Eventually(t, "all its processes", func() bool {
				return strings.Contains(b.Log(), c.says) && strings.Contains(b.Log(), "away waits")
			})
			r := b.WaitRecord(10*time.Second, "the sidecar", func(r status.Record) error {
				if r.Sidecars[0].PID == 0 {
					return errors.New("not yet")
				}
				return nil
			})
			c.end(b, r.Sidecars[0].PID)
			testenv.Eventually(t, "the next one", func() bool {
				return strings.Count(b.Log(), "away waits") == 2 && len(sidecarEvents(b.Log())) >= 3
			})
			if got := strings.Join(sidecarEvents(b.Log()), " "); got != "started killed started" {
				t.Errorf("%s", got)
			}
			if strings.Contains(b.Log(), "away got") {
				t.Error("a process in a session of its own got a signal")
			}
			if n := inGroup(b, r.Sidecars[0].PID); n != 0 {
				t.Errorf("%d processes of the former group are there", n)
			}
		})
	}
}

// inGroup counts the processes of a group, zombies excluded.
func inGroup(b *box.Box, group int) (n int) {
	for _, p := range b.Processes() {
		data, _ := os.ReadFile(b.Path(fmt.Sprintf("/proc/%d/stat", p.PID)))
		if _, fields, ok := strings.Cut(string(data), ") "); ok { // state, ppid, pgrp (proc_pid_stat(5))
			if f := strings.Fields(fields); f[0] != "Z" && f[2] == strconv.Itoa(group) {
				n++
			}
		}
	}
	return n
}

// TestStopReachesWhatTheCommandLeavesBehind checks that the processes that the command
// leaves behind have SIGTERM, SIGCONT and the grace, too. The container ends with the
// command's exit code. One that needs longer than the grace is killed, and saves nothing.
func TestStopReachesWhatTheCommandLeavesBehind(t *testing.T) {
	for name, c := range map[string]struct {
		needs, grace string
		stopped      bool
		end          func(b *box.Box, command int)
		saved        bool
	}{
		"command-ends":    {"0.5", "1m", false, func(b *box.Box, command int) { b.Tools(0, "sigsend", strconv.Itoa(command), "TERM") }, true},
		"container-stops": {"0.5", "1m", false, func(b *box.Box, _ int) { b.Signal(unix.SIGTERM) }, true},
		"stopped":         {"0.5", "1m", true, func(b *box.Box, command int) { b.Tools(0, "sigsend", strconv.Itoa(command), "TERM") }, true},
		"needs-longer":    {"1000", "300ms", false, func(b *box.Box, command int) { b.Tools(0, "sigsend", strconv.Itoa(command), "TERM") }, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			config := map[string]any{"gateway": map[string]any{"stop": map[string]any{"grace": c.grace}, "health": map[string]any{"interval": "10m"}}}
			b := box.Start(t, box.Options{Config: config, Command: []string{"demotools", "together", "saver", saved, c.needs, "--", "trap", "the command", "0", "7"}})
			testenv.Eventually(t, "both", func() bool {
				return strings.Contains(b.Log(), "a saver runs") && strings.Contains(b.Log(), "the command waits")
			})
			r := b.WaitRecord(10*time.Second, "the command", func(r status.Record) error {
				if r.Command.PID == 0 {
					return errors.New("not yet")
				}
				return nil
			})
			if c.stopped {
				for _, p := range b.Processes() {
					if p.Parent == r.Command.PID {
						b.Tools(0, "sigsend", strconv.Itoa(p.PID), "STOP")
					}
				}
			}
			c.end(b, r.Command.PID)
			if s := b.Wait(testenv.AtMost(t, 20*time.Second)); s.ExitStatus() != 7 {
				t.Errorf("the container ended with %d", s.ExitStatus())
			}
			log := b.Log()
			if !strings.Contains(log, "a saver was told to end") || strings.Contains(log, "a saver has saved") != c.saved ||
				strings.Contains(log, "the container's processes did not end within the grace") == c.saved {
				t.Errorf("saved: want %v\n%s", c.saved, log)
			}
		})
	}
}
