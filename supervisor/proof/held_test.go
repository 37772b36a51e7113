// SPDX-License-Identifier: Apache-2.0

package proof

import (
	"errors"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/gateway-init/gateway-init/internal/testenv"
)

// child starts a process with the listener, or without one.
func child(t *testing.T, l *net.TCPListener, script string) int {
	t.Helper()
	cmd := exec.Command("/bin/sh", "-c", script)
	if l != nil {
		f, err := l.File()
		testenv.Must(t, err)
		defer f.Close()
		cmd.ExtraFiles = []*os.File{f}
	}
	testenv.Must(t, cmd.Start())
	t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
	return cmd.Process.Pid
}

func listen(t *testing.T, addr string) *net.TCPListener {
	t.Helper()
	l, err := net.Listen("tcp4", addr)
	testenv.Must(t, err)
	t.Cleanup(func() { l.Close() })
	return l.(*net.TCPListener)
}

// Where agent and gateway have one uid, only who has the socket open has it.
func TestJudgeHolders(t *testing.T) {
	for name, c := range map[string]struct {
		script string
		with   bool // the child has it
		want   Ownership
	}{
		"itself":     {"exec sleep 100", true, Ours},
		"below":      {"sh -c 'exec sleep 100; true' & exec 3>&-; wait", true, Ours},
		"not-at-all": {"exec sleep 100", false, Foreign},
	} {
		t.Run(name, func(t *testing.T) {
			l := listen(t, "127.0.0.1:0")
			port := netip.MustParseAddrPort(l.Addr().String()).Port()
			var held *net.TCPListener
			if c.with {
				held = l
			}
			pid := child(t, held, c.script)
			testenv.Eventually(t, "the verdict", func() bool {
				ls, err := Listeners(port)
				testenv.Must(t, err)
				o, foreign, err := JudgeHolders(ls, pid)
				testenv.Must(t, err)
				return o == c.want && (len(foreign) == 1) == (c.want == Foreign)
			})
			if o, foreign, err := JudgeHolders(nil, pid); o != Missing || foreign != nil || err != nil {
				t.Errorf("nobody listens: %v, %v, %v", o, foreign, err)
			}
			h := holder{pid: pid, uid: 7}
			ls, err := h.listeners(port)
			want := uint32(7)
			if c.want == Foreign {
				want = noUser
			}
			if err != nil || len(ls) != 1 || ls[0].UID != want {
				t.Errorf("a worker sees %+v, %v", ls, err)
			}
		})
	}
}

// A connection is the gateway's if it has the server's end open, nobody's known
// while that end is closed, and a stranger's only if it is there and held by no
// process of the gateway.
func TestHolderOwnerOf(t *testing.T) {
	l := listen(t, "127.0.0.1:0")
	client, err := net.Dial("tcp4", l.Addr().String())
	testenv.Must(t, err)
	defer client.Close()
	server, err := l.Accept()
	testenv.Must(t, err)
	local, remote := netip.MustParseAddrPort(server.LocalAddr().String()), netip.MustParseAddrPort(client.LocalAddr().String())
	if uid, err := (holder{pid: os.Getpid(), uid: 7}).ownerOf(local, remote); uid != 7 || err != nil {
		t.Errorf("its own: %d, %v", uid, err)
	}
	other := child(t, nil, "exec sleep 100")
	testenv.Eventually(t, "a stranger's", func() bool { // once sh has closed what it was started with
		uid, err := (holder{pid: other, uid: 7}).ownerOf(local, remote)
		return uid == noUser && err == nil
	})
	testenv.Must(t, server.Close())
	testenv.Eventually(t, "nobody's", func() bool {
		_, err := (holder{pid: other, uid: 7}).ownerOf(local, remote)
		return errors.Is(err, errUnheld)
	})
}

// The process itself counts, not what is below it; what cannot be seen is an
// error.
func TestHolds(t *testing.T) {
	l := listen(t, "127.0.0.1:0")
	ls, err := Listeners(netip.MustParseAddrPort(l.Addr().String()).Port())
	testenv.Must(t, err)
	for name, c := range map[string]struct {
		pid  int
		want bool
	}{"holder": {os.Getpid(), true}, "other": {child(t, nil, "exec sleep 100"), false}, "child": {child(t, l, "exec sleep 100"), true}} {
		testenv.Eventually(t, name, func() bool {
			has, err := Holds(c.pid, ls)
			return err == nil && has == c.want
		})
	}
	if has, err := Holds(1<<22, ls); has || err == nil {
		t.Errorf("nobody: %v, %v", has, err)
	}
}

// One beside the gateway's is named, and it alone.
func TestJudgeHoldersBeside(t *testing.T) {
	l := listen(t, "127.0.0.1:0")
	port := netip.MustParseAddrPort(l.Addr().String()).Port()
	other := listen(t, netip.AddrPortFrom(netip.MustParseAddr("127.0.0.2"), port).String())
	pid := child(t, l, "exec sleep 100")
	ls, err := Listeners(port)
	testenv.Must(t, err)
	o, foreign, err := JudgeHolders(ls, pid)
	if o != Foreign || err != nil || len(foreign) != 1 || foreign[0].Addr.String() != other.Addr().String() {
		t.Errorf("got %v, %+v, %v", o, foreign, err)
	}
}

// What cannot be seen is nobody's: neither the gateway's nor a stranger's.
func TestJudgeHoldersUnproven(t *testing.T) {
	ls := []Listener{{Inode: 1}}
	if _, _, err := JudgeHolders(ls, 1<<22); !errors.Is(err, ErrUnproven) {
		t.Errorf("no such process: %v", err)
	}
	if !testenv.Inside(t, 0) {
		return
	}
	testenv.Must(t, errors.Join(unix.Setgroups(nil), unix.Setresuid(int(stranger), int(stranger), int(stranger))))
	_, _, err := JudgeHolders(ls, 1) // root's
	if !errors.Is(err, ErrUnproven) || !errors.Is(err, unix.EACCES) {
		t.Errorf("descriptors that are not ours to see: %v", err)
	}
}

// A connection belongs to whom its server's end is open for.
func TestHolderOwner(t *testing.T) {
	l := listen(t, "127.0.0.1:0")
	conn, err := net.DialTimeout("tcp4", l.Addr().String(), 5*time.Second)
	testenv.Must(t, err)
	defer conn.Close()
	server, err := l.Accept()
	testenv.Must(t, err)
	defer server.Close()
	at := func(c net.Conn) netip.AddrPort { return netip.MustParseAddrPort(c.LocalAddr().String()) }
	for name, c := range map[string]struct {
		pid  int
		want uint32
	}{"ours": {os.Getpid(), 7}, "a-stranger's": {child(t, nil, "exec sleep 100"), noUser}} {
		if uid, err := (holder{pid: c.pid, uid: 7}).ownerOf(at(server), at(conn)); err != nil || uid != c.want {
			t.Errorf("%s: got %d, %v", name, uid, err)
		}
	}
	if _, err := (holder{pid: os.Getpid(), uid: 7}).ownerOf(at(server), at(server)); !errors.Is(err, ErrUnproven) {
		t.Errorf("no such connection: %v", err)
	}
}

func TestTree(t *testing.T) {
	pid := child(t, nil, "sh -c 'sleep 100; true' & wait")
	testenv.Eventually(t, "three generations", func() bool {
		tree, err := Tree(pid)
		testenv.Must(t, err)
		return len(tree) == 3 && tree[0].PID == pid && tree[0].Verify() == nil
	})
	if tree, err := Tree(1 << 22); len(tree) != 0 || err != nil {
		t.Errorf("nobody: %v, %v", tree, err)
	}
}
