// SPDX-License-Identifier: Apache-2.0

package sweep

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/gateway-init/gateway-init/internal/procfs"
	"github.com/gateway-init/gateway-init/internal/sys"
	"github.com/gateway-init/gateway-init/internal/testenv"
)

// takeEnv makes this program take a port in the way that it names.
const takeEnv = "SWEEP_TEST_TAKE"

func TestMain(m *testing.M) {
	if way := os.Getenv(takeEnv); way != "" {
		takePort(way)
	}
	os.Exit(m.Run())
}

// takePort takes a free port, or the one that follows the way, prints it and stays.
func takePort(way string) {
	way, port, _ := strings.Cut(way, " ")
	l, err := net.Listen("tcp", "127.0.0.1:"+port)
	if way == "beside" {
		l, err = net.Listen("tcp", "127.0.0.2:"+port)
	}
	if err == nil && way == "undumpable" {
		err = sys.SetDumpable(false)
	}
	if err == nil && way == "sent" { // the socket waits in a queue, and no process has it open
		var ends [2]int
		ends, err = unix.Socketpair(unix.AF_UNIX, unix.SOCK_DGRAM, 0)
		f, _ := l.(*net.TCPListener).File()
		if err == nil {
			err = unix.Sendmsg(ends[0], []byte{0}, unix.UnixRights(int(f.Fd())), nil, 0)
		}
		f.Close()
		defer l.Close()
		l.Close()
	}
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	if way == "bound" {
		l.Close()
		fd, _ := unix.Socket(unix.AF_INET, unix.SOCK_STREAM, 0)
		if err := unix.Bind(fd, &unix.SockaddrInet4{Port: l.Addr().(*net.TCPAddr).Port, Addr: [4]byte{127, 0, 0, 1}}); err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
	}
	fmt.Println(l.Addr().(*net.TCPAddr).Port)
	time.Sleep(time.Hour)
	l.Close()
}

// take starts a process of uid that takes a port, and returns its pid and the port.
func take(t *testing.T, uid uint32, way string) (pid int, port uint16) {
	t.Helper()
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = []string{takeEnv + "=" + way}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Credential: &syscall.Credential{Uid: uid, Gid: uid}}
	out, err := cmd.StdoutPipe()
	testenv.Must(t, err)
	testenv.Must(t, cmd.Start())
	line, err := bufio.NewReader(out).ReadString('\n')
	testenv.Must(t, err)
	n, err := strconv.ParseUint(strings.TrimSpace(line), 10, 16)
	if err != nil {
		t.Fatalf("it took no port: %s", line)
	}
	return cmd.Process.Pid, uint16(n)
}

// isDead reports whether a child is gone or a zombie.
func isDead(pid int) bool {
	st, err := procfs.ReadStat(pid)
	return err != nil || st.Ended()
}

func sparesNone(int) bool { return false }

// agent is the account of the processes that take ports in these tests.
var agent = Account{stranger, stranger}

// TestFreePort checks which processes end for a port, in the ways in which a process can
// hold one. None but the user's own ends, and none that is spared.
func TestFreePort(t *testing.T) {
	for way, c := range map[string]struct{ visible bool }{"plain": {true}, "bound": {true}, "undumpable": {false}, "sent": {false}} {
		t.Run(way, func(t *testing.T) {
			if !testenv.Inside(t, unix.CLONE_NEWPID) {
				return
			}
			holder, port := take(t, stranger, way)
			other := run(t, stranger, "exec sleep 1000")
			command := run(t, stranger, "exec sleep 1000")
			serving := run(t, gateway, "exec sleep 1000")
			testenv.Executed(t, serving)
			s := NewByUID(gateway, false)
			spare := func(pid int) bool { return pid == command }
			ended, every, err := s.FreePort(agent, port, spare, false)
			testenv.Must(t, err)
			if want := c.visible; slices.Equal(ended, []int{holder}) != want || !want && len(ended) > 0 || every {
				t.Fatalf("ended %v, every %v; the holder is %d", ended, every, holder)
			}
			if !c.visible {
				ended, every, err = s.FreePort(agent, port, spare, true)
				testenv.Must(t, err)
				if slices.Sort(ended); !slices.Equal(ended, []int{min(holder, other), max(holder, other)}) || !every {
					t.Errorf("ended %v, every %v, want %d and %d", ended, every, holder, other)
				}
			}
			testenv.Eventually(t, "the port is free", func() bool {
				inodes, err := socketsOf(stranger, port)
				return err == nil && len(inodes) == 0
			})
			if !c.visible { // a process that got SIGKILL is not dead at once
				testenv.Eventually(t, "the user's other process has ended", func() bool { return isDead(other) })
			}
			if isDead(other) == c.visible || isDead(command) || isDead(serving) {
				t.Errorf("ended: the other %v, the command %v, the gateway %v", isDead(other), isDead(command), isDead(serving))
			}
			if ended, every, err := s.FreePort(agent, port, sparesNone, true); len(ended) > 0 || every || err != nil {
				t.Errorf("of a free port: %v, %v, %v", ended, every, err)
			}
		})
	}
}

// TestFreePortSparesTheHolder checks that a spared process that has the port stays, and that
// the user's others do not end for it.
func TestFreePortSparesTheHolder(t *testing.T) {
	if !testenv.Inside(t, unix.CLONE_NEWPID) {
		return
	}
	holder, port := take(t, stranger, "plain")
	other := run(t, stranger, "exec sleep 1000")
	beside, _ := take(t, stranger, fmt.Sprintf("beside %d", port))
	ended, every, err := NewByUID(gateway, false).FreePort(agent, port, func(pid int) bool { return pid == holder }, true)
	testenv.Must(t, err)
	if !slices.Equal(ended, []int{beside}) || every || isDead(holder) || isDead(other) {
		t.Errorf("ended %v, every %v; spared is %d, the other is %d", ended, every, holder, other)
	}
}

// TestFreePortOfAnotherUser checks that no process ends for another user's listener.
func TestFreePortOfAnotherUser(t *testing.T) {
	if !testenv.Inside(t, unix.CLONE_NEWPID) {
		return
	}
	holder, port := take(t, gateway, "plain")
	other := run(t, stranger, "exec sleep 1000")
	ended, every, err := NewByUID(gateway, false).FreePort(agent, port, sparesNone, true)
	if len(ended) > 0 || every || err != nil || isDead(holder) || isDead(other) {
		t.Errorf("ended %v, every %v, %v", ended, every, err)
	}
}

// TestSearchOutOfTime checks that a search whose time is over finds no holder and names all
// processes.
func TestSearchOutOfTime(t *testing.T) {
	if !testenv.Inside(t, unix.CLONE_NEWPID) {
		return
	}
	holder, port := take(t, stranger, "plain")
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	use, err := FindPortUse(ctx, agent, port)
	if err != nil || len(use.Holders) != 0 || len(use.Others) != 1 || use.Others[0].PID != holder || !use.Hidden || use.Sockets != 1 {
		t.Errorf("%+v, %v", use, err)
	}
	if use, err = FindPortUse(testenv.Within(t, time.Minute), agent, port); err != nil || len(use.Holders) != 1 || use.Hidden {
		t.Errorf("with time: %+v, %v", use, err)
	}
}

// TestKillAllMeetsForks checks that processes that fork all the time do not outlive KillAll.
func TestKillAllMeetsForks(t *testing.T) {
	if !testenv.Inside(t, unix.CLONE_NEWPID) {
		return
	}
	run(t, stranger, "while :; do sleep 1000 & sleep 0.01; done")
	testenv.Eventually(t, "some", func() bool { return count(t, stranger) > 3 })
	_, err := KillAll(stranger, sparesNone)
	testenv.Must(t, err)
	testenv.Eventually(t, "the end of all", func() bool { reap(t); return count(t, stranger) == 0 })
}
