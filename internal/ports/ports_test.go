// SPDX-License-Identifier: Apache-2.0

package ports

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/gateway-init/gateway-init/internal/config"
	"github.com/gateway-init/gateway-init/internal/sys"
	"github.com/gateway-init/gateway-init/internal/testenv"
)

func TestMain(m *testing.M) { os.Exit(testenv.IPv6Main(m)) }

// freePort returns a port that no process has now.
func freePort(t *testing.T) uint16 {
	t.Helper()
	port, err := Ephemeral{32768, 60999}.Pick()
	testenv.Must(t, err)
	return port
}

var addresses = []string{config.PublishLoopback, config.PublishIPv4, config.PublishIPv6, config.PublishAll}

// every returns all forms of a port's address, with those of this machine's interfaces.
func every(t *testing.T) (all []netip.Addr) {
	t.Helper()
	for _, text := range []string{"0.0.0.0", "127.0.0.1", "127.0.0.2", "127.255.255.254", "::", "::1", "::ffff:0.0.0.0", "::ffff:127.0.0.1", "2001:db8::7", "192.0.2.7"} {
		all = append(all, netip.MustParseAddr(text))
	}
	own, err := net.InterfaceAddrs()
	testenv.Must(t, err)
	for _, a := range own {
		if p, err := netip.ParsePrefix(a.String()); err == nil {
			all = append(all, p.Addr())
		}
	}
	return all
}

// Scenario C02. TestHeldPortCannotBeBound checks each form of the address with each set of
// options, as the uid that holds it, against each published address. One free form is
// enough for the agent: it would get the clients that use that form.
func TestHeldPortCannotBeBound(t *testing.T) {
	for _, address := range addresses {
		t.Run(strings.NewReplacer("*", "all", ":", "6").Replace(address), func(t *testing.T) {
			port := freePort(t)
			h, err := Hold(port, address)
			testenv.Must(t, err)
			defer h.Close()
			tries := 0
			for _, addr := range every(t) {
				for option := range 16 {
					how := sys.Bind{ReuseAddr: option&1 != 0, ReusePort: option&2 != 0, Dual: option&4 != 0, Any: option&8 != 0}
					tries++
					if f, err := sys.BindTCP(netip.AddrPortFrom(addr, port), how); err == nil {
						f.Close()
						t.Errorf("%s can be bound with %+v", addr, how)
					}
				}
			}
			if tries < 100 {
				t.Fatalf("%d tries prove little", tries)
			}
		})
	}
}

// TestPositiveControlOfHeldPort checks that the tries above succeed where a part of the
// address is not held.
func TestPositiveControlOfHeldPort(t *testing.T) {
	port := freePort(t)
	f, err := sys.BindTCP(netip.AddrPortFrom(loopback4, port), sys.Bind{ReuseAddr: true})
	testenv.Must(t, errors.Join(err, sys.Listen(f, 1, buffer)))
	defer f.Close()
	if form := bindable(port); form == "" {
		t.Error("a port of which only 127.0.0.1 is held counts as held")
	}
}

// Scenario C01. TestHeldPortListens checks that exactly the published addresses can be
// reached.
func TestHeldPortListens(t *testing.T) {
	for _, c := range []struct {
		address string
		open    []string
		closed  []string
	}{
		{config.PublishLoopback, []string{"127.0.0.1", "::1"}, []string{"127.0.0.2"}},
		{config.PublishIPv4, []string{"127.0.0.1", "127.0.0.2", "::1"}, nil},
		{config.PublishIPv6, []string{"127.0.0.1", "::1"}, []string{"127.0.0.2"}},
		{config.PublishAll, []string{"127.0.0.1", "127.0.0.2", "::1"}, nil},
	} {
		port := freePort(t)
		h, err := Hold(port, c.address)
		testenv.Must(t, err)
		if len(h.Listening) != 2 || len(h.Addrs) != 2 || len(h.Cookies) != 2 || h.Cookies[0] == h.Cookies[1] {
			t.Errorf("%s: %+v", c.address, h)
		}
		for open, list := range map[bool][]string{true: c.open, false: c.closed} {
			for _, host := range list {
				conn, err := net.DialTimeout("tcp", net.JoinHostPort(host, fmt.Sprint(port)), 5*time.Second)
				if (err == nil) != open {
					t.Errorf("%s: connect to %s: %v", c.address, host, err)
				}
				if err == nil {
					conn.Close()
				}
			}
		}
		h.Close()
	}
}

// Scenario C05. TestHoldAfterTimeWait checks that the next container of a network namespace
// gets the port at once, although connections of the former one are in TIME_WAIT.
func TestHoldAfterTimeWait(t *testing.T) {
	port := freePort(t)
	for round := range 3 {
		h, err := Hold(port, config.PublishAll)
		if err != nil {
			t.Fatalf("round %d: %v", round, err)
		}
		l, err := net.FileListener(h.Listening[0])
		testenv.Must(t, err)
		client, err := net.Dial("tcp4", fmt.Sprintf("127.0.0.1:%d", port))
		testenv.Must(t, err)
		server, err := l.Accept()
		testenv.Must(t, err)
		server.Close() // this side closes first, so it has the TIME_WAIT
		client.Read(make([]byte, 1))
		client.Close()
		l.Close()
		h.Close()
		if round == 0 && isFree(port) {
			t.Error("there is no TIME_WAIT, so this proves nothing")
		}
	}
}

// Scenario C04. TestProbeNamesTheHolder checks that a port is taken also if its holder does
// not listen, and that the holder's uid is named.
func TestProbeNamesTheHolder(t *testing.T) {
	for name, c := range map[string]struct {
		addr    string
		listens bool
		how     sys.Bind
	}{
		"listens":      {"127.0.0.1", true, sys.Bind{}},
		"bound":        {"127.0.0.1", false, sys.Bind{}},
		"bound-reuse":  {"0.0.0.0", false, sys.Bind{ReuseAddr: true}},
		"bound-6":      {"::1", false, sys.Bind{ReuseAddr: true}},
		"bound-second": {"127.0.0.2", false, sys.Bind{ReuseAddr: true}},
		"dual":         {"::", true, sys.Bind{Dual: true}},
	} {
		t.Run(name, func(t *testing.T) {
			port := freePort(t)
			addr := netip.AddrPortFrom(netip.MustParseAddr(c.addr), port)
			f, err := sys.BindTCP(addr, c.how)
			testenv.Must(t, err)
			defer f.Close()
			if c.listens {
				testenv.Must(t, sys.Listen(f, 1, buffer))
			}
			var taken *TakenError
			if err := Probe(port); !errors.As(err, &taken) {
				t.Fatalf("got %v", err)
			}
			if taken.Addr.IsValid() && (taken.UID != uint32(os.Geteuid()) || taken.Addr != addr || taken.Listens != c.listens) {
				t.Errorf("got %+v", taken)
			}
			if h, err := Hold(port, config.PublishAll); err == nil {
				h.Close()
				t.Error("the port can be held, too")
			}
		})
	}
	if err := Probe(freePort(t)); err != nil {
		t.Errorf("a free port: %v", err)
	}
}

func TestTakenErrorText(t *testing.T) {
	at := netip.MustParseAddrPort("127.0.0.1:80")
	for want, e := range map[string]TakenError{
		"port 80 is taken by uid 9002: 127.0.0.1:80 listens":                      {80, at, 9002, true},
		"port 80 is taken by uid 9002: 127.0.0.1:80 is bound":                     {80, at, 9002, false},
		"port 80 is taken: a process that this kernel does not show has bound it": {Port: 80},
	} {
		if e.Error() != want {
			t.Errorf("got %q, want %q", e.Error(), want)
		}
	}
}

// TestPick checks that a picked port is free, differs from the excluded ones, and is none
// that the kernel gives to clients.
func TestPick(t *testing.T) {
	e, err := ReadEphemeral()
	testenv.Must(t, err)
	seen := map[uint16]bool{}
	for range 32 {
		port, err := e.Pick()
		testenv.Must(t, err)
		if e.Has(port) || port < lowest || !isFree(port) {
			t.Errorf("picked %d", port)
		}
		seen[port] = true
	}
	if len(seen) < 16 {
		t.Errorf("%d different ports of 32", len(seen))
	}
	narrow := Ephemeral{1025, 65535}
	if _, err := narrow.Pick(1024); !errors.Is(err, errNoPort) {
		t.Errorf("nothing to pick: %v", err)
	}
}

func TestParseEphemeral(t *testing.T) {
	if e, err := parseEphemeral("32768\t60999\n"); err != nil || e != (Ephemeral{32768, 60999}) || !e.Has(32768) || !e.Has(60999) || e.Has(32767) || e.Has(61000) {
		t.Errorf("got %+v, %v", e, err)
	}
	for _, text := range []string{"", "1", "2 1", "1 65536", "a b", "1 2 3", "-1 5"} {
		if e, err := parseEphemeral(text); !errors.Is(err, errRange) {
			t.Errorf("%q: %+v, %v", text, e, err)
		}
	}
}

func TestInList(t *testing.T) {
	for list, want := range map[string]bool{"": false, "\n": false, "80\n": true, "79": false, "1-79,81-90": false, "1-80": true, "80-90,5": true, "5,80": true, "x,80": true, "80-": false} {
		if inList(list, 80) != want {
			t.Errorf("%q: %t", list, !want)
		}
	}
}

func TestHasDevice(t *testing.T) {
	dir := t.TempDir()
	testenv.Must(t, os.MkdirAll(filepath.Join(dir, "lo"), 0o755))
	if hasDevice(dir) || hasDevice(filepath.Join(dir, "none")) {
		t.Error("a namespace without a device counts as the host's")
	}
	testenv.Must(t, os.MkdirAll(filepath.Join(dir, "eth0", "device"), 0o755))
	if !hasDevice(dir) {
		t.Error("the host's namespace counts as a container's")
	}
}

// TestBindErrors checks that a socket that cannot be bound is an error, which leaves none.
func TestBindErrors(t *testing.T) {
	h := &Held{}
	if err := h.bind([]heldSocket{{netip.MustParseAddrPort("127.0.0.1:1"), true}}); err != nil && !errors.Is(err, unix.EACCES) {
		t.Errorf("got %v", err)
	}
	h.Close()
	port := freePort(t)
	f, err := sys.BindTCP(netip.AddrPortFrom(loopback4, port), sys.Bind{})
	testenv.Must(t, err)
	defer f.Close()
	h = &Held{}
	defer h.Close()
	if err := h.bind(heldSockets(port, config.PublishAll)); !errors.Is(err, unix.EADDRINUSE) {
		t.Errorf("got %v", err)
	}
}
