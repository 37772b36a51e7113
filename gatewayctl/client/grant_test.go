// SPDX-License-Identifier: Apache-2.0

package client

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/gateway-init/gateway-init/internal/sys"
	"github.com/gateway-init/gateway-init/internal/testenv"
)

// gatewayOf starts a process that stands for the gateway.
func gatewayOf(t *testing.T) *exec.Cmd {
	t.Helper()
	cmd := exec.Command("sleep", "1000")
	testenv.Must(t, cmd.Start())
	t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
	return cmd
}

// lockFile makes a file whose lock PID 1 would test.
func lockFile(t *testing.T) (path string, isFree func() bool) {
	t.Helper()
	path = "/mnt/token/lock"
	testenv.Must(t, os.WriteFile(path, nil, 0o600))
	return path, func() bool {
		f, err := os.Open(path)
		testenv.Must(t, err)
		defer f.Close()
		free, err := sys.TryLock(f)
		testenv.Must(t, err)
		return free
	}
}

// family is a client that ignores all signals that it can. It has a child in its
// group, and an orphaned descendant in another session. It prints four pids.
const family = `trap '' HUP TERM INT QUIT
(setsid sh -c 'trap "" HUP TERM; echo $$; sleep 1000 & echo $!; wait' &)
sleep 1000 & echo $!
echo $$
while :; do sleep 1000; done`

// TestGatewayEnds checks that the client and all it started are killed within a
// second, although the grace is five seconds, and that the lock is free after it.
func TestGatewayEnds(t *testing.T) {
	if !mountHome(t) {
		return
	}
	lock, isFree := lockFile(t)
	for name, tty := range map[string]bool{"pipes": false, "terminal": true} {
		t.Run(name, func(t *testing.T) {
			gateway := gatewayOf(t)
			o := shell(family)
			o.TTY, o.Gateway, o.Lock = tty, gateway.Process.Pid, lock
			var pids []int
			var code func() int
			if tty {
				o.Argv[2] = `echo begin; exec >/mnt/home/pids; ` + strings.ReplaceAll(family, "while :", "echo end; while :")
				p := onTerminal(t, o)
				p.sees("begin")
				pids = pidsIn(t, "/mnt/home/pids")
				code = func() int { p.ends(killedIt); return p.cmd.ProcessState.ExitCode() }
			} else {
				s := start(t, o)
				pids = []int{s.pid(), s.pid(), s.pid(), s.pid()}
				code = s.code
			}
			for _, pid := range pids {
				if hasEnded(pid) {
					t.Fatalf("%d is not there", pid)
				}
			}
			if isFree() {
				t.Error("the lock is free while the client lives")
			}
			begin := time.Now()
			testenv.Must(t, gateway.Process.Kill())
			// The gateway is a zombie, because no process has reaped it.
			for _, pid := range pids {
				endsSoon(t, "a process of the client", pid)
			}
			if took := time.Since(begin); took > testenv.AtMost(t, time.Second) {
				t.Errorf("it took %v", took)
			}
			if got := code(); got != killedIt {
				t.Errorf("code %d", got)
			}
			if !isFree() {
				t.Error("the lock is held afterwards")
			}
		})
	}
}

// pidsIn returns four pids, one a line, once "end" stands behind them.
func pidsIn(t *testing.T, path string) (pids []int) {
	t.Helper()
	var lines []string
	testenv.Eventually(t, "pids", func() bool {
		data, err := os.ReadFile(path)
		lines = strings.Fields(string(data))
		return err == nil && len(lines) == 5 && strings.Contains(string(data), "end\n")
	})
	for _, line := range lines {
		var pid int
		if line != "end" {
			_, err := fmt.Sscan(line, &pid)
			testenv.Must(t, err)
			pids = append(pids, pid)
		}
	}
	return pids
}

// TestGatewayEndedBefore checks that a gateway that ends between the check and the
// fork is noticed too.
func TestGatewayEndedBefore(t *testing.T) {
	if !mountHome(t) {
		return
	}
	gateway := gatewayOf(t)
	testenv.Must(t, gateway.Process.Kill()) // a zombie from here on, which has a pidfd
	testenv.Eventually(t, "the gateway to end", func() bool { return hasEnded(gateway.Process.Pid) })
	o := shell(`sleep 1000`)
	o.Gateway = gateway.Process.Pid
	if code, _, stderr := output(t, o); code != killedIt || stderr != "error: killed the client: "+ErrGatewayEnded.Error()+"\n" {
		t.Errorf("code %d, %q", code, stderr)
	}
}

// TestAgainFails checks that a failed check ends the client as the gateway's end does.
func TestAgainFails(t *testing.T) {
	if !mountHome(t) {
		return
	}
	lock, isFree := lockFile(t)
	o := shell(family)
	o.Gateway, o.Lock, o.Unless = gatewayOf(t).Process.Pid, lock, "/mnt/token/there"
	s := start(t, o)
	pids := []int{s.pid(), s.pid(), s.pid(), s.pid()}
	begin := time.Now()
	testenv.Must(t, os.WriteFile(o.Unless, nil, 0o600))
	for _, pid := range pids {
		endsSoon(t, "a process of the client", pid)
	}
	if took := time.Since(begin); took > testenv.AtMost(t, time.Second) {
		t.Errorf("it took %v", took)
	}
	if code := s.code(); code != killedIt || s.err.String() != "error: killed the client: it is there\n" || !isFree() {
		t.Errorf("code %d, %q, the lock is free: %v", code, s.err.String(), isFree())
	}
}

// TestClientEndsBeforeTheGateway checks that the exit code is the client's, and
// that Run does not wait for the gateway.
func TestClientEndsBeforeTheGateway(t *testing.T) {
	if !mountHome(t) {
		return
	}
	lock, isFree := lockFile(t)
	o := shell(`exit 7`)
	o.Gateway, o.Lock = gatewayOf(t).Process.Pid, lock
	if code, _, stderr := output(t, o); code != 7 || stderr != "" || !isFree() {
		t.Errorf("code %d, %q, the lock is free: %v", code, stderr, isFree())
	}
}

// TestLockAndOutput checks that a slow reader of the last output holds no lock.
func TestLockAndOutput(t *testing.T) {
	if !mountHome(t) {
		return
	}
	lock, isFree := lockFile(t)
	o := shell(`head -c 60000 /dev/zero; read x; head -c 60000 /dev/zero; exit 5`)
	o.Gateway, o.Lock = gatewayOf(t).Process.Pid, lock
	s := start(t, o)
	testenv.Eventually(t, "the client", func() bool { return hasDescendant(s.Process.Pid, "sh") })
	if isFree() {
		t.Error("the lock is free while the client lives")
	}
	fmt.Fprintln(s.in)
	// Its output does not fit into our pipe, and nothing reads that yet.
	testenv.Eventually(t, "the lock to be free", isFree)
	if s.ProcessState != nil || hasEnded(s.Process.Pid) {
		t.Error("the relay has ended with output left")
	}
	go func() {
		buf := make([]byte, 4096)
		for {
			if _, err := s.out.Read(buf); err != nil {
				return
			}
		}
	}()
	if code := s.code(); code != 5 {
		t.Errorf("code %d", code)
	}
}

// TestNothingInherited checks that neither the lock nor the pidfd is open in the client.
func TestNothingInherited(t *testing.T) {
	if !mountHome(t) {
		return
	}
	o := shell(`exec ls -l /proc/self/fd`)
	o.Lock, _ = lockFile(t)
	o.Gateway = gatewayOf(t).Process.Pid
	got := must(t, o)
	if strings.Contains(got, "pidfd") || strings.Contains(got, o.Lock) || strings.Count(got, " -> ") != 4 { // the last one is the directory that ls reads
		t.Errorf("the client has %s", got)
	}
}

// TestCheckFails checks that nothing is started, and that the token is wiped.
func TestCheckFails(t *testing.T) {
	if !mountHome(t) {
		return
	}
	o := shell(`echo ran >/mnt/home/ran`)
	o.CheckFails = "somebody has the port"
	if code, _, stderr := output(t, o); code != failedToRun || stderr != "error: somebody has the port\n" {
		t.Errorf("code %d, %q", code, stderr)
	}
	if _, err := os.Stat("/mnt/home/ran"); err == nil {
		t.Error("it ran")
	}
}

// TestNoToken checks that neither the caller's environment nor the configuration
// can set the variable.
func TestNoToken(t *testing.T) {
	if !mountHome(t) {
		return
	}
	for name, without := range map[string]bool{"with": false, "without": true} {
		t.Run(name, func(t *testing.T) {
			o := shell(`env`)
			o.NoToken, o.Caller, o.PassEnv = without, []string{"TOKEN=preset"}, []string{"TOKEN"}
			if got := must(t, o); strings.Contains(got, "TOKEN=") == without || strings.Contains(got, "preset") {
				t.Errorf("the environment is %q", got)
			}
		})
	}
}
