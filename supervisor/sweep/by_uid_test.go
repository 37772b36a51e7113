// SPDX-License-Identifier: Apache-2.0

package sweep

import (
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/gateway-init/gateway-init/internal/sys"
	"github.com/gateway-init/gateway-init/internal/testenv"
)

const gateway, stranger = testenv.Gateway, testenv.Stranger

// run starts a shell as uid. reap must reap it.
func run(t *testing.T, uid uint32, script string) int {
	t.Helper()
	p, err := os.StartProcess("/bin/sh", []string{"sh", "-c", script}, &os.ProcAttr{
		Dir: "/", Files: []*os.File{nil, os.Stdout, os.Stderr},
		Sys: &syscall.SysProcAttr{Setsid: true, Credential: &syscall.Credential{Uid: uid, Gid: uid}},
	})
	testenv.Must(t, err)
	return p.Pid
}

// reap reaps all children that have ended, as the supervisor does.
func reap(t *testing.T) {
	t.Helper()
	for {
		pid, err := sys.Peek()
		testenv.Must(t, err)
		if pid == 0 {
			return
		}
		_, err = sys.Reap(pid)
		testenv.Must(t, err)
	}
}

// swept sweeps until nothing is left, as the supervisor does.
func swept(t *testing.T, s *ByUID) {
	t.Helper()
	testenv.Eventually(t, "nothing of the user is left", func() bool {
		testenv.Must(t, s.Sweep())
		reap(t)
		alive, err := s.Alive()
		testenv.Must(t, err)
		return !alive
	})
}

// count returns the number of processes of uid in /proc that are no zombies.
func count(t *testing.T, uid uint32) (n int) {
	t.Helper()
	entries, err := os.ReadDir("/proc")
	testenv.Must(t, err)
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		data, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/status")
		if err == nil && strings.Contains(string(data), "\nUid:\t"+strconv.Itoa(int(uid))+"\t") && !strings.Contains(string(data), "\nState:\tZ") {
			n++
		}
	}
	return n
}

// helpers are processes that a gateway may leave behind: in its session, in their
// own, in the background of a parent that ended, ignoring every signal that can be
// ignored, and stopped.
var helpers = map[string]string{
	"plain":      "exec sleep 1000",
	"session":    "setsid sleep 1000",
	"daemon":     "(setsid sh -c 'sleep 1000 & sleep 1000' &) ; exit 0",
	"deaf":       "trap '' TERM INT HUP QUIT; sleep 1000; sleep 1000",
	"stopped":    "kill -STOP $$; sleep 1000",
	"generation": "for i in 1 2 3; do (for j in 1 2 3; do (setsid sleep 1000 &) ; done) ; done; sleep 1000",
}

// modes are the two ways to sweep.
var modes = map[string]bool{"namespace": false, "descent": true}

// TestSweep checks that no process of the former gateway is left, because the next
// one needs its port and its locks. All others are left alone.
func TestSweep(t *testing.T) {
	for mode, shared := range modes {
		for name, script := range helpers {
			t.Run(mode+"-"+name, func(t *testing.T) {
				if !testenv.Inside(t, unix.CLONE_NEWPID) {
					return
				}
				agent := run(t, stranger, "sleep 1000 & wait")
				root := run(t, 0, "exec sleep 1000")
				run(t, gateway, script)
				testenv.Eventually(t, "the helper runs", func() bool { return count(t, gateway) > 0 && count(t, stranger) == 2 })
				s := NewByUID(gateway, shared)
				if alive, err := s.Alive(); err != nil || !alive {
					t.Errorf("before: %v %v", alive, err)
				}
				swept(t, s)
				if n := count(t, gateway); n != 0 {
					t.Errorf("%d of the gateway's are left", n)
				}
				if count(t, stranger) != 2 {
					t.Errorf("%d of the agent's are left of 2", count(t, stranger))
				}
				testenv.Must(t, sys.Kill(root, 0))
				testenv.Must(t, s.Sweep()) // there is none left
				if alive, err := s.Others(stranger); err != nil || !alive {
					t.Errorf("the agent's: %v %v", alive, err)
				}
				s.Signal(stranger, unix.SIGTERM)
				testenv.Eventually(t, "the agent's end", func() bool {
					s.Signal(stranger, unix.SIGTERM)
					reap(t)
					alive, err := s.Others(stranger)
					testenv.Must(t, err)
					return !alive
				})
				if err := sys.Kill(agent, 0); err != unix.ESRCH && count(t, stranger) != 0 {
					t.Errorf("the agent lives: %v", err)
				}
			})
		}
	}
}

// TestSignalReachesAllGenerations checks that children whose parent ends by the signal get
// it too, at once. Nobody else would send it to them.
func TestSignalReachesAllGenerations(t *testing.T) {
	for mode, shared := range modes {
		t.Run(mode, func(t *testing.T) {
			if !testenv.Inside(t, unix.CLONE_NEWPID) {
				return
			}
			run(t, gateway, "sleep 1000")
			run(t, stranger, "(setsid sleep 1000; :); :")
			testenv.Eventually(t, "they run", func() bool { return count(t, stranger) == 3 && count(t, gateway) > 0 })
			s := NewByUID(gateway, shared)
			s.Signal(stranger, unix.SIGTERM)
			testenv.Eventually(t, "their end", func() bool {
				reap(t)
				return count(t, stranger) == 0
			})
			if count(t, gateway) == 0 {
				t.Error("the gateway got it, too")
			}
		})
	}
}

// TestSweepForkBomb checks that processes that fork as fast as they can do not outrun
// one kill(-1).
func TestSweepForkBomb(t *testing.T) {
	if !testenv.Inside(t, unix.CLONE_NEWPID) {
		return
	}
	// The limit protects the machine. The flag of a shell's ulimit differs, and root
	// is not bound by it. Each shell starts two and waits for none.
	testenv.Must(t, syscall.Setrlimit(unix.RLIMIT_NPROC, &syscall.Rlimit{Cur: 150, Max: 150}))
	testenv.Eventually(t, "it multiplies", func() bool {
		reap(t)
		n := count(t, gateway)
		if n == 0 { // at first, and after the shells have met the bound and ended
			run(t, gateway, "exec 2>/dev/null; bomb() { bomb | bomb & }; bomb; while :; do bomb; done")
		}
		return n >= 30
	})
	swept(t, NewByUID(gateway, false))
	if n := count(t, gateway); n != 0 {
		t.Errorf("%d are left", n)
	}
}

// foreignEnv carries the pid of a process that is not our descendant.
const foreignEnv = "SWEEP_TEST_FOREIGN"

// TestSweepShared checks that only our own descendants end where two containers share
// a PID namespace, and the other gateway has the same UID.
func TestSweepShared(t *testing.T) {
	testenv.Root(t)
	var foreign *exec.Cmd
	if os.Getenv(foreignEnv) == "" { // outside, for the other container
		foreign = exec.Command("sleep", "1000")
		foreign.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Credential: &syscall.Credential{Uid: gateway, Gid: gateway}}
		testenv.Must(t, foreign.Start())
		defer foreign.Wait()
		defer foreign.Process.Kill()
		t.Setenv(foreignEnv, strconv.Itoa(foreign.Process.Pid))
	}
	if !testenv.Inside(t, 0) {
		testenv.Must(t, sys.Kill(foreign.Process.Pid, 0))
		if f := testenv.Status(t, "/proc/"+os.Getenv(foreignEnv)+"/status"); f["State"][:1] == "Z" {
			t.Error("the other container's gateway was killed")
		}
		return
	}
	testenv.Must(t, sys.SetSubreaper())
	s := NewByUID(gateway, false)
	s.Share() // before the sweep, because the other container has announced itself
	if alive, err := s.Alive(); err != nil || alive {
		t.Errorf("the other container's counts as ours: %v %v", alive, err)
	}
	for _, script := range helpers {
		run(t, gateway, script)
	}
	testenv.Eventually(t, "ours run", func() bool { alive, err := s.Alive(); return err == nil && alive })
	swept(t, s)
	s.Signal(gateway, unix.SIGKILL)
	data, err := os.ReadFile("/proc/" + os.Getenv(foreignEnv) + "/status")
	if err != nil || strings.Contains(string(data), "State:\tZ") {
		t.Errorf("the other container's gateway was killed: %v", err)
	}
}
