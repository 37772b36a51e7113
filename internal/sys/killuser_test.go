// SPDX-License-Identifier: Apache-2.0

package sys

import (
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/gateway-init/gateway-init/internal/testenv"
)

// aimEnv makes this program aim at every thread of a process, and print how often it
// could have signaled one.
const aimEnv = "SYS_TEST_AIM"

// aim runs this program as the attacker if its environment says so.
func aim() {
	pid, err := strconv.Atoi(os.Getenv(aimEnv))
	if err != nil {
		return
	}
	hits := 0
	for end := time.Now().Add(2 * time.Second); time.Now().Before(end); {
		tasks, _ := os.ReadDir(fmt.Sprintf("/proc/%d/task", pid))
		for _, task := range tasks {
			tid, _ := strconv.Atoi(task.Name())
			for range 50 {
				if unix.Tgkill(pid, tid, 0) == nil {
					hits++
				}
			}
		}
	}
	fmt.Println(hits)
	os.Exit(0)
}

// TestSweepingThreadCannotBeSignaled checks that a process of the swept user cannot
// signal the thread that takes this uid. By tgkill(2) it could have ended the container.
func TestSweepingThreadCannotBeSignaled(t *testing.T) {
	if !testenv.Inside(t, unix.CLONE_NEWPID) {
		return
	}
	out := &strings.Builder{}
	attacker := exec.Command("/proc/self/exe")
	attacker.Env, attacker.Stdout = []string{aimEnv + "=" + strconv.Itoa(os.Getpid())}, out
	attacker.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: gateway, Gid: gateway}}
	testenv.Must(t, attacker.Start())
	ended := make(chan error, 1)
	go func() { ended <- attacker.Wait() }()
	sweeps := 0
	for {
		select {
		case err := <-ended:
			if text := strings.TrimSpace(out.String()); err != nil || text != "0" || sweeps < 100 {
				t.Errorf("it could signal us %q times in %d sweeps, %v", text, sweeps, err)
			}
			return
		default:
			testenv.Must(t, KillUser(gateway, 0))
			sweeps++
		}
	}
}
