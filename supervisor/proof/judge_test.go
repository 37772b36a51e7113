// SPDX-License-Identifier: Apache-2.0

package proof

import (
	"errors"
	"net"
	"net/netip"
	"os"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/gateway-init/gateway-init/internal/sockets"
	"github.com/gateway-init/gateway-init/internal/testenv"
)

func TestJudge(t *testing.T) {
	ours, theirs := sockets.Listener{UID: 7, Inode: 1}, sockets.Listener{UID: 8, Inode: 2}
	for name, c := range map[string]struct {
		ls      []sockets.Listener
		want    Ownership
		foreign int
	}{
		"no-listener":     {nil, Missing, 0},
		"ours":            {[]sockets.Listener{ours, ours}, Ours, 0},
		"theirs":          {[]sockets.Listener{theirs}, Foreign, 1},
		"ours-first":      {[]sockets.Listener{ours, theirs}, Foreign, 1},
		"theirs-first":    {[]sockets.Listener{theirs, theirs, ours}, Foreign, 2},
		"root-is-foreign": {[]sockets.Listener{{UID: 0}}, Foreign, 1},
	} {
		t.Run(name, func(t *testing.T) {
			if o, foreign := Judge(c.ls, 7); o != c.want || len(foreign) != c.foreign {
				t.Errorf("got %d with %d foreign; want %d with %d", o, len(foreign), c.want, c.foreign)
			}
		})
	}
}

// TestJudgeHolders checks that the holder has the socket, without separation.
func TestJudgeHolders(t *testing.T) {
	for name, c := range map[string]struct {
		script string
		with   bool // the child has the listener
		want   Ownership
	}{
		"itself":     {"exec sleep 100", true, Ours},
		"below":      {"sh -c 'exec sleep 100; true' & exec 3>&-; wait", true, Ours},
		"not-at-all": {"exec sleep 100", false, Foreign},
	} {
		t.Run(name, func(t *testing.T) {
			l := testenv.Listen(t, "127.0.0.1:0")
			port := netip.MustParseAddrPort(l.Addr().String()).Port()
			var held *net.TCPListener
			if c.with {
				held = l
			}
			pid := testenv.Shell(t, held, c.script)
			testenv.Eventually(t, "the verdict", func() bool {
				ls, err := sockets.Listeners(port)
				testenv.Must(t, err)
				o, foreign, err := JudgeHolders(ls, pid)
				testenv.Must(t, err)
				return o == c.want && (len(foreign) == 1) == (c.want == Foreign)
			})
			if o, foreign, err := JudgeHolders(nil, pid); o != Missing || foreign != nil || err != nil {
				t.Errorf("no listener: %v, %v, %v", o, foreign, err)
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

// TestHolderOwnerOf checks that a connection is the gateway's if it has the server's
// end open, and another user's only if it exists and no process of the gateway has
// it. After that end is closed, no owner is known.
func TestHolderOwnerOf(t *testing.T) {
	l := testenv.Listen(t, "127.0.0.1:0")
	client, err := net.Dial("tcp4", l.Addr().String())
	testenv.Must(t, err)
	defer client.Close()
	server, err := l.Accept()
	testenv.Must(t, err)
	local, remote := netip.MustParseAddrPort(server.LocalAddr().String()), netip.MustParseAddrPort(client.LocalAddr().String())
	if uid, err := (holder{pid: os.Getpid(), uid: 7}).ownerOf(local, remote); uid != 7 || err != nil {
		t.Errorf("its own: %d, %v", uid, err)
	}
	other := testenv.Shell(t, nil, "exec sleep 100")
	testenv.Eventually(t, "a stranger's", func() bool { // after sh has closed the descriptors that it got
		uid, err := (holder{pid: other, uid: 7}).ownerOf(local, remote)
		return uid == noUser && err == nil
	})
	testenv.Must(t, server.Close())
	testenv.Eventually(t, "nobody's", func() bool {
		_, err := (holder{pid: other, uid: 7}).ownerOf(local, remote)
		return errors.Is(err, sockets.ErrUnheld)
	})
}

// TestJudgeHoldersBeside checks that only the listener beside the gateway's is named.
func TestJudgeHoldersBeside(t *testing.T) {
	l := testenv.Listen(t, "127.0.0.1:0")
	port := netip.MustParseAddrPort(l.Addr().String()).Port()
	other := testenv.Listen(t, netip.AddrPortFrom(netip.MustParseAddr("127.0.0.2"), port).String())
	pid := testenv.Shell(t, l, "exec sleep 100")
	ls, err := sockets.Listeners(port)
	testenv.Must(t, err)
	o, foreign, err := JudgeHolders(ls, pid)
	if o != Foreign || err != nil || len(foreign) != 1 || foreign[0].Addr.String() != other.Addr().String() {
		t.Errorf("got %v, %+v, %v", o, foreign, err)
	}
	if !IsBeside(ls, foreign) || IsBeside(ls, ls) || IsBeside(ls, nil) || IsBeside(nil, nil) {
		t.Error("only a foreign listener beside one of the gateway is beside it")
	}
}

// TestJudgeHoldersUnproven checks that a socket that cannot be seen is unproven.
func TestJudgeHoldersUnproven(t *testing.T) {
	ls := []sockets.Listener{{Inode: 1}}
	if _, _, err := JudgeHolders(ls, 1<<22); !errors.Is(err, sockets.ErrUnproven) {
		t.Errorf("no such process: %v", err)
	}
	if !testenv.Inside(t, 0) {
		return
	}
	testenv.Must(t, errors.Join(unix.Setgroups(nil), unix.Setresuid(int(stranger), int(stranger), int(stranger))))
	_, _, err := JudgeHolders(ls, 1) // of root
	if !errors.Is(err, sockets.ErrUnproven) || !errors.Is(err, unix.EACCES) {
		t.Errorf("descriptors that are not ours to see: %v", err)
	}
}

// TestHolderOwner checks that the holder of the server's end has the connection.
func TestHolderOwner(t *testing.T) {
	l := testenv.Listen(t, "127.0.0.1:0")
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
	}{"ours": {os.Getpid(), 7}, "a-stranger's": {testenv.Shell(t, nil, "exec sleep 100"), noUser}} {
		if uid, err := (holder{pid: c.pid, uid: 7}).ownerOf(at(server), at(conn)); err != nil || uid != c.want {
			t.Errorf("%s: got %d, %v", name, uid, err)
		}
	}
	if _, err := (holder{pid: os.Getpid(), uid: 7}).ownerOf(at(server), at(server)); !errors.Is(err, sockets.ErrUnproven) {
		t.Errorf("no such connection: %v", err)
	}
}

// TestListenerOfIPv6AloneBesideIPv4 checks that a listener of another user at [::] that gets
// no IPv4 connection does not count beside a gateway at 127.0.0.1, for PID 1 and its worker
// alike.
func TestListenerOfIPv6AloneBesideIPv4(t *testing.T) {
	own := sockets.Listener{Addr: netip.MustParseAddrPort("127.0.0.1:9"), UID: 7, Cookie: 1}
	other := sockets.Listener{Addr: netip.MustParseAddrPort("[::]:9"), UID: 8, Cookie: 2}
	for only6, want := range map[bool]int{true: 1, false: 2} {
		other.V6Only = only6
		ls := []sockets.Listener{own, other}
		if on, seen := OnAddress(ls, 7), SeenAt(ls, own.Addr); len(on) != want || len(seen.Cookies) != want {
			t.Errorf("IPv6 alone %v: %v, %v; want %d", only6, on, seen, want)
		}
	}
}
