// SPDX-License-Identifier: Apache-2.0

package proof

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/gateway-init/gateway-init/tests/harness"
)

const (
	pidMax       = "420" // 120 pids remain to wrap
	rounds       = 3600  // bytes of the register: some 450 bystanders
	lastReserved = 299   // the kernel restarts after this pid (RESERVED_PIDS)
	register     = "/tmp/bystanders"
)

// bystanders reads the register from an offset: the pids that the bystanders had,
// and the bystanders that a signal ended.
func bystanders(t *testing.T, c *harness.Container, from int64) (had map[int]bool, killed []string, end int64) {
	t.Helper()
	f, err := os.Open(c.HostPath(register))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.Seek(from, 0); err != nil {
		t.Fatal(err)
	}
	had, end = map[int]bool{}, from
	for r := bufio.NewReader(f); ; {
		line, err := r.ReadString('\n')
		if err != nil { // the end, perhaps within a line
			return had, killed, end
		}
		end += int64(len(line))
		word, number, _ := strings.Cut(strings.TrimSpace(line), " ")
		if word != "had" {
			killed = append(killed, line)
			continue
		}
		pid, err := strconv.Atoi(number)
		if err != nil {
			t.Fatalf("the register holds %q", line)
		}
		had[pid] = true
	}
}

// Scenario P06. A recycled pid is never signaled. The test forces pids to
// wrap in a PID namespace with a small pid_max.
//
// A pid was kept after its process had been reaped. The next process with that pid
// was signaled instead.
func TestRecycledPidIsNeverSignaled(t *testing.T) {
	t.Parallel()
	// /proc/sys is writable. Since Linux 6.14 each PID namespace has its own
	// kernel.pid_max. On an older kernel the check below fails the test.
	c := harness.Start(t, harness.Options{Extra: []string{"--security-opt", "systempaths=unconfined"},
		Config: map[string]any{"gateway": map[string]any{
			"health":  map[string]any{"interval": "100ms"}, // many workers
			"restart": map[string]any{"backoff_min": "10ms", "backoff_max": "50ms"},
			"stop":    map[string]any{"grace": "1s"},
		}}})
	c.WaitServing(20 * time.Second)
	hosts, err := os.ReadFile("/proc/sys/kernel/pid_max")
	if err != nil {
		t.Fatal(err)
	}
	if r := c.ExecInput("0:0", []byte(pidMax), "demotools", "write", "/proc/sys/kernel/pid_max"); r.Code != 0 {
		t.Fatalf("cannot lower pid_max: %v", r)
	}
	if now, err := os.ReadFile("/proc/sys/kernel/pid_max"); err != nil || string(now) != string(hosts) {
		t.Fatalf("pid_max of the host was %s and is %s (%v): it is not the namespace's own here", hosts, now, err)
	}
	c.ExecDetached("sandbox", "demotools", "bystanders", register)
	waitRegister(t, c)
	// This is checked even if another part fails.
	defer func() {
		if _, killed, _ := bystanders(t, c, 0); len(killed) > 0 {
			t.Errorf("%d bystanders were signalled: %v", len(killed), killed)
		}
	}()
	former, reused, times := 0, 0, harness.Rounds(t, 2, 3)
	// round waits while the pids wrap some times, and counts whether a bystander
	// had the pid of the former gateway. Sometimes a long-lived thread has it.
	round := func(t *testing.T, pid int) {
		_, _, from := bystanders(t, c, 0)
		had := map[int]bool{}
		harness.Eventually(t, 30*time.Second, "pids that go round", func() error {
			var end int64
			if had, _, end = bystanders(t, c, from); end-from < rounds {
				return fmt.Errorf("%d bytes more in the register", end-from)
			}
			return nil
		})
		former++
		if had[pid] {
			reused++
		}
	}
	signal := func(sig unix.Signal) {
		if err := unix.Kill(c.GatewayHostPID(), sig); err != nil {
			t.Fatal(err)
		}
	}
	for name, step := range map[string]func(){
		"restart": func() { c.MustCtl("restart") },
		"crash":   func() { signal(unix.SIGKILL) },
		"exit":    func() { signal(unix.SIGTERM) },
		"killed-in-its-grace": func() {
			c.Misbehave(map[string]any{"ignore_term": true})
			c.MustCtl("restart")
		},
		"stop-and-start": func() {
			c.MustCtl("stop")
			c.MustCtl("start")
		},
		"exit-under-a-restart": func() {
			// It exits by itself during its grace, which must cancel the armed
			// signal.
			c.Misbehave(map[string]any{"drain": "200ms", "exit_code": 1})
			c.MustCtl("restart")
		},
	} {
		t.Run(name, func(t *testing.T) {
			for range times {
				old := c.WaitServing(20 * time.Second).Gateway.Process
				step()
				c.WaitNewGateway(old, 20*time.Second)
				if old.PID > lastReserved { // the first gateway's pid is below those that wrap
					round(t, old.PID)
				}
			}
		})
	}
	if former < 5*times || 2*reused < former {
		t.Errorf("bystanders had the pids of %d of %d former gateways: too few to prove anything", reused, former)
	}
}

// TestSignaledBystanderIsNoticed checks that the register of P06 records a signaled
// bystander.
func TestSignaledBystanderIsNoticed(t *testing.T) {
	t.Parallel()
	c := harness.Start(t, harness.Options{Command: []string{"demotools", "bystanders", register}})
	parent := strconv.Itoa(c.HostPIDOf(c.WaitServing(20 * time.Second).Command.PID))
	waitRegister(t, c)
	harness.Eventually(t, 30*time.Second, "a bystander that was signalled", func() error {
		for _, p := range c.Processes() {
			if c.OfAgent(p) {
				endChild(p.HostPID, parent)
			}
		}
		if _, killed, _ := bystanders(t, c, 0); len(killed) == 0 {
			return errors.New("none")
		}
		return nil
	})
}

// waitRegister waits until the register exists.
func waitRegister(t *testing.T, c *harness.Container) {
	t.Helper()
	harness.Eventually(t, 30*time.Second, "the register", func() error {
		_, err := os.Stat(c.HostPath(register))
		return err
	})
}

// endChild ends a process if it is still a child of parent. Its pid may have been
// recycled, so a pidfd holds the process during the check.
func endChild(pid int, parent string) {
	fd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		return
	}
	defer unix.Close(fd)
	fields, err := harness.StatusFields(fmt.Sprintf("/proc/%d/status", pid))
	if err == nil && fields["PPid"] == parent {
		_ = unix.PidfdSendSignal(fd, unix.SIGTERM, nil, 0) // it may have exited; there are more
	}
}
