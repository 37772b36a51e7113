// SPDX-License-Identifier: Apache-2.0

package procfs

import (
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/gateway-init/gateway-init/internal/testenv"
)

// roleEnv makes this test program a process to look at.
const roleEnv = "PROCFS_ROLE"

func TestMain(m *testing.M) {
	switch os.Getenv(roleEnv) {
	case "":
		os.Exit(m.Run())
	case "restless": // every look finds another name and number of threads
		for i := 0; ; i++ {
			if err := os.WriteFile("/proc/self/comm", []byte(strconv.Itoa(i)), 0); err != nil {
				os.Exit(1)
			}
		}
	case "checker":
		fmt.Print(Check())
		os.Exit(0)
	case "mounter": // of the procfs of its own PID namespace
		if err := unix.Mount("proc", "/proc", "proc", 0, ""); err != nil {
			fmt.Print(err)
		}
		os.Exit(0)
	case "named":
		if err := os.WriteFile("/proc/self/comm", []byte(os.Args[0]), 0); err != nil {
			os.Exit(1)
		}
		time.Sleep(time.Minute)
	case "turncoat": // it has two uids, one after the other
		_, _ = os.Stdin.Read(make([]byte, 1))
		if err := syscall.Setresuid(testenv.Stranger, testenv.Stranger, testenv.Stranger); err != nil {
			os.Exit(1)
		}
		fmt.Println("turned")
		time.Sleep(time.Minute)
	}
}

// play starts the role and holds it.
func play(t *testing.T, role string) (*exec.Cmd, *Handle) {
	t.Helper()
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append(os.Environ(), roleEnv+"="+role)
	return start(t, cmd)
}

func start(t *testing.T, cmd *exec.Cmd) (*exec.Cmd, *Handle) {
	t.Helper()
	testenv.Must(t, cmd.Start())
	t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
	p, err := Open(cmd.Process.Pid)
	testenv.Must(t, err)
	t.Cleanup(p.Close)
	return cmd, p
}

func sleeper(uid uint32, argv ...string) *exec.Cmd {
	return &exec.Cmd{Path: "/bin/sleep", Args: append(argv, "1000"),
		SysProcAttr: &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uid, Gid: uid}}}
}
