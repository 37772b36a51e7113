// SPDX-License-Identifier: Apache-2.0

package launch_test

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/gateway-init/gateway-init/internal/testenv"
	"github.com/gateway-init/gateway-init/supervisor/launch"
)

// starveEnv makes this program starve all processes that it may, except its own.
const starveEnv = "LAUNCH_TEST_STARVE"

const (
	hogs     = 4                // processes that take the time of the first CPU
	starving = 20 * time.Second // the longest time for which they do
)

// starve moves every process of its user to the first CPU and gives it the policy
// SCHED_IDLE, over and over, while other processes take the time of that CPU. It prints the
// number of these processes when its stdin has ended.
func starve() {
	end := time.Now().Add(starving)
	var first unix.CPUSet
	first.Set(0)
	own := map[int]bool{os.Getpid(): true}
	for range hogs {
		hog := exec.Command("/bin/sh", "-c", "while :; do :; done")
		hog.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
		if hog.Start() != nil || unix.SchedSetaffinity(hog.Process.Pid, &first) != nil {
			os.Exit(1)
		}
		defer hog.Process.Kill()
		own[hog.Process.Pid] = true
	}
	fmt.Println("ready")
	over := make(chan struct{})
	go func() {
		io.Copy(io.Discard, os.Stdin)
		close(over)
	}()
	idle := unix.SchedAttr{Size: unix.SizeofSchedAttr, Policy: unix.SCHED_IDLE}
	found := map[int]bool{}
	for last := false; !last && time.Now().Before(end); {
		select {
		case <-over:
			last = true
		default:
		}
		entries, _ := os.ReadDir("/proc")
		for _, e := range entries {
			pid, err := strconv.Atoi(e.Name())
			if err == nil && !own[pid] && unix.SchedSetAttr(pid, &idle, 0) == nil {
				unix.SchedSetaffinity(pid, &first)
				found[pid] = true
			}
		}
	}
	fmt.Println(len(found))
}

// TestStarvedChildDelaysNoStart checks that a start comes back although a process of the
// target's UID takes the processor time of each child, before or after its exec.
func TestStarvedChildDelaysNoStart(t *testing.T) {
	if !testenv.Inside(t, unix.CLONE_NEWPID) {
		return
	}
	asPID1(t)
	attacker := exec.Command("/proc/self/exe")
	attacker.Env = []string{starveEnv + "=1"}
	attacker.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: gateway, Gid: gateway}, Setsid: true}
	in, err := attacker.StdinPipe()
	testenv.Must(t, err)
	out, err := attacker.StdoutPipe()
	testenv.Must(t, err)
	testenv.Must(t, attacker.Start())
	defer func() { attacker.Process.Kill(); attacker.Wait() }()
	ready := make([]byte, len("ready\n"))
	if _, err := io.ReadFull(out, ready); err != nil {
		t.Fatal(err)
	}
	const starts = 30
	var children []*launch.Proc
	for n := range starts {
		begin := time.Now()
		p, err := launch.Start(program(t, "sleep", "1000").Child, func(int, string, error) {})
		testenv.Must(t, err)
		if took := time.Since(begin); took > patience/4 {
			t.Errorf("start %d took %v", n, took)
		}
		children = append(children, p)
	}
	testenv.Must(t, in.Close())
	text, err := io.ReadAll(out)
	testenv.Must(t, err)
	if found, err := strconv.Atoi(strings.TrimSpace(string(text))); err != nil || found != starts {
		t.Errorf("the attacker has found %q children of %d", text, starts)
	}
	for _, p := range children {
		testenv.Must(t, p.Signal(syscall.SIGKILL))
		p.Close()
	}
}
