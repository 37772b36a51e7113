// SPDX-License-Identifier: Apache-2.0

package faults

import (
	"fmt"
	"os"
	"path/filepath"
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

// Scenario F16, a flood. A gateway that writes 50 MB neither waits for PID 1, nor keeps it
// from anything else, nor costs it memory. The newest lines are kept.
func TestFloodOfOutputDelaysNothing(t *testing.T) {
	const bytes, bound = 50e6, 256 << 10
	b, s := openScreen(t, box.Options{Command: cat, Misbehave: map[string]any{"flood": bytes}})
	b.WaitServing(20 * time.Second)
	waitCommand(b)
	for range 3 { // each gateway begins a flood
		begin := time.Now()
		b.MustCtl("restart")
		if took := time.Since(begin); took > testenv.AtMost(t, within) {
			t.Errorf("restart took %v", took)
		}
	}
	r := b.WaitServing(20 * time.Second)
	waitText(t, b, "gateway", fmt.Sprintf("the flood is over, pid %d", r.Gateway.PID))
	lines := strings.Split(b.MustCtl("logs", "gateway"), "\n")
	for _, line := range lines {
		if !strings.HasPrefix(line, "demogateway: ") {
			t.Fatalf("%q is no whole line", line)
		}
	}
	var size int64
	for _, name := range []string{"gateway.log", "gateway.log.old"} {
		i, err := os.Stat(b.Path(box.Runtime + "/" + name))
		testenv.Must(t, err)
		size += i.Size()
	}
	if size > bound || size < bound/2 {
		t.Errorf("the log has %d bytes, want at most %d", size, bound)
	}
	f, err := harness.StatusFields(b.Path("/proc/1/status"))
	testenv.Must(t, err)
	if kib, err := strconv.Atoi(strings.Fields(f["VmHWM"])[0]); err != nil || kib > 16<<10 {
		t.Errorf("PID 1 had %d KiB: %v", kib, err)
	}
	if want := s.typed("here"); s.since() != want {
		t.Errorf("the screen has %q", s.since())
	}
}

// Scenario F16, a file system that is full. The logs leave the space that status and
// replies need. When others have taken even that, lines are lost and counted, and requests
// are answered.
func TestFullLogsLeaveRoomForStatusAndReplies(t *testing.T) {
	b, s := openScreen(t, box.Options{Command: cat, Misbehave: map[string]any{"flood": 1e6},
		Mounts: []box.Mount{{At: "/run", Data: "mode=1777,size=256k"}}})
	b.WaitServing(20 * time.Second)
	waitCommand(b)
	requests := func() {
		t.Helper()
		for range 10 {
			b.MustCtl("restart", "--timeout", "20s")
			b.MustCtl("probe", "--timeout", "20s")
			b.WaitServing(10 * time.Second)
		}
	}
	requests()
	said := strings.TrimSpace(b.Tools(box.SandboxUID, "fill", "/run", "0"))
	_, ballast, _ := strings.Cut(said, ": ")
	requests()
	b.Tools(box.SandboxUID, "rm", ballast)
	b.MustCtl("restart")
	waitText(t, b, "init", `"event":"log-dropped","lines":`)
	text := b.MustCtl("logs", "init") + s.shown()
	for _, event := range []string{"status-write-failed", "reply-write-failed"} {
		if strings.Contains(text, `"event":"`+event+`"`) {
			t.Errorf("%s on a full file system", event)
		}
	}
	if want := s.typed("here"); s.since() != want {
		t.Errorf("the screen has %q", s.since())
	}
}

// Scenario F16, the agent. The logs may have secrets that the gateway wrote. Neither the
// agent's user nor the gateway's can read a file or a pipe of them. Root can, as a control.
func TestLogsAreClosedToTheAgent(t *testing.T) {
	cfg := noisy()
	cfg["sidecars"] = []any{map[string]any{"name": "thief", "user": "sandbox", "restart": "never",
		"command": []string{"/usr/local/bin/demotools", "reopen", "1"}}}
	b, _ := openScreen(t, box.Options{Command: cat, Config: cfg})
	r := b.WaitServing(20 * time.Second)
	waitCommand(b)
	waitText(t, b, "sidecars", "permission denied") // the pipe of a sidecar is not even open to itself

	var files []string
	for _, name := range []string{"init.log", "gateway.log", "sidecars.log"} {
		files = append(files, box.Runtime+"/"+name)
		i, err := os.Stat(b.Path(box.Runtime + "/" + name))
		testenv.Must(t, err)
		if i.Mode().Perm() != 0o600 {
			t.Errorf("%s has mode %v", name, i.Mode())
		}
	}
	for _, file := range files[:2] {
		if out := b.Tools(0, "cat", file); out == "" {
			t.Errorf("control: root reads nothing in %s", file)
		}
	}
	pipe := fmt.Sprintf("/proc/%d/fd/1", r.Gateway.PID)
	if link, err := os.Readlink(b.Path(pipe)); err != nil || !strings.HasPrefix(link, "pipe:") {
		t.Fatalf("the gateway's output is %s: %v", link, err)
	}
	held, err := filepath.Glob(b.Path("/proc/1/fd/*"))
	testenv.Must(t, err)
	for _, path := range held {
		files = append(files, "/proc/1/fd/"+filepath.Base(path))
	}
	for _, uid := range []int{box.SandboxUID, box.GatewayUID, box.OperatorUID} {
		for _, file := range append(files, pipe) {
			if got := b.Exec(uid, "demotools", "cat", file); got.Code != 1 || got.Stdout != "" || !strings.Contains(got.Stderr, "permission denied") {
				t.Errorf("uid %d reads %s: %v", uid, file, got)
			}
		}
		if got := b.Exec(uid, "gatewayctl", "logs"); got.Code != 3 || got.Stdout != "" {
			t.Errorf("uid %d: %v", uid, got)
		}
	}
	// The gateway can open its output again for writing, as a script does with /dev/stdout.
	if got := b.Exec(box.GatewayUID, "demotools", "write", pipe); got.Code != 0 {
		t.Errorf("the gateway's user cannot write its own output: %v", got)
	}
}

// TestLogsWithoutRoot checks gatewayctl logs where gateway-init is not root: its own user
// has them, and root is told who that is.
func TestLogsWithoutRoot(t *testing.T) {
	const uid = box.GatewayUID
	for name, o := range map[string]box.Options{
		"non-root": {UID: uid},
		"managed":  {Below: []string{"/usr/local/bin/demotools", "foreign-init", strconv.Itoa(uid)}},
	} {
		t.Run(name, func(t *testing.T) {
			o.Command, o.Config = cat, noisy()
			o.Mounts = []box.Mount{{At: "/run", Data: "mode=0755,size=4m"}, {At: "/dev/shm", Data: "mode=1777,size=4m"}}
			b, s := openScreen(t, o)
			s.waitFor(`"event":"log-moved"`)
			want := s.typed("before")
			ctl := func(args ...string) harness.Result {
				return b.Exec(uid, append([]string{"gatewayctl"}, args...)...)
			}
			if r := ctl("restart"); r.Code != 0 {
				t.Fatalf("restart: %v", r)
			}
			for log, text := range map[string]string{"init": `"action":"restart"`, "gateway": "demogateway: listening", "sidecars": "stdout line 2"} {
				testenv.Eventually(t, text+" in the log "+log, func() bool { return strings.Contains(ctl("logs", log).Stdout, text) })
			}
			if r := b.Ctl("logs"); r.Code != 3 || !strings.Contains(r.Stderr, "docker exec -u 9001:9001 CONTAINER /usr/local/bin/gatewayctl logs\n") {
				t.Errorf("root: %v", r)
			}
			want += s.typed("after")
			if got := s.since(); got != want {
				t.Errorf("the screen has %q, want %q", got, want)
			}
		})
	}
}

// TestOldLogsAreReplaced checks a runtime directory that outlives the container.
func TestOldLogsAreReplaced(t *testing.T) {
	var plant []box.Entry
	for _, name := range []string{"init.log", "init.log.old", "gateway.log", "sidecars.log.old"} {
		plant = append(plant, box.Entry{Path: box.Runtime + "/" + name, Type: 0o100000, Mode: 0o600, Data: "the old container's\n"})
	}
	b := box.Start(t, box.Options{Plant: plant})
	b.WaitServing(20 * time.Second)
	if r := b.Ctl("logs"); r.Code != 1 {
		t.Errorf("without a terminal: %v", r)
	}
	b, _ = openScreen(t, box.Options{Plant: plant, Command: cat})
	b.WaitRecord(20*time.Second, "the gateway", func(r status.Record) error { return nil })
	waitText(t, b, "init", "gateway-started")
	if out := b.MustCtl("logs"); strings.Contains(out, "old container") {
		t.Errorf("logs:\n%s", out)
	}
}

// TestLogsNeedFewRightsAndDescriptors checks the least of both: no CAP_CHOWN, with which
// only the pipes cannot be given away, and the documented number of descriptors. With one
// descriptor less boot ends with a line.
func TestLogsNeedFewRightsAndDescriptors(t *testing.T) {
	cfg := noisy()
	cfg["prepare"] = nil
	o := box.Options{Command: cat, Config: cfg, DropCaps: []uintptr{unix.CAP_CHOWN}, Limits: map[int]uint64{unix.RLIMIT_NOFILE: 57}}
	b, s := openScreen(t, o)
	s.waitFor(`"event":"log-moved"`)
	want := s.typed("here")
	makeNoise(t, b)
	waitText(t, b, "gateway", "demogateway: listening")
	waitText(t, b, "sidecars", "stdout line 2")
	if got := s.since(); got != want {
		t.Errorf("the screen has %q", got)
	}
	o.Limits[unix.RLIMIT_NOFILE]--
	_, s = openScreen(t, o)
	s.waitFor("gateway-init: cannot run with 56 file descriptors")
}

// TestLogWithoutGateway checks --no-gateway: only the log of PID 1 is there to move.
func TestLogWithoutGateway(t *testing.T) {
	b, s := openScreen(t, box.Options{Command: cat, Args: []string{"--no-gateway"}})
	s.waitFor(`"event":"log-moved"`)
	want := s.typed("here")
	if r := b.Ctl("restart"); r.Code != 3 {
		t.Errorf("restart: %v", r)
	}
	waitText(t, b, "init", `"event":"refused"`)
	if out := b.MustCtl("logs"); !strings.Contains(out, `"event":"command-started"`) {
		t.Errorf("logs: %s", out)
	}
	if got := s.since(); got != want {
		t.Errorf("the screen has %q", got)
	}
}
