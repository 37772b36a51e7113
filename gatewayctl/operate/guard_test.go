// SPDX-License-Identifier: Apache-2.0

package operate

import (
	"errors"
	"net"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/gateway-init/gateway-init/internal/proven"
	"github.com/gateway-init/gateway-init/internal/sockets"
	"github.com/gateway-init/gateway-init/internal/status"
	"github.com/gateway-init/gateway-init/internal/sys"
	"github.com/gateway-init/gateway-init/internal/testenv"
)

// TestCheckSeesRealListeners checks that the checks before and after the fork read
// the kernel's list.
func TestCheckSeesRealListeners(t *testing.T) {
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	testenv.Must(t, err)
	defer l.Close()
	local := &Local{Host: Host{Listeners: sockets.Listeners, Connect: proven.Check}}
	r := status.Record{Gateway: status.Gateway{Port: netip.MustParseAddrPort(l.Addr().String()).Port(), UID: uint32(os.Geteuid())}}
	fd, err := sys.PidfdOpen(os.Getpid())
	g := &Guard{local: local, Record: r, gateway: os.NewFile(uintptr(fd), "pidfd"), warn: func(error) {}}
	testenv.Must(t, err)
	defer g.Close()
	testenv.Must(t, errors.Join(g.check(), g.again()))
	for want, fail := range map[string]error{
		"listener-foreign: ": &proven.Error{Finding: proven.Finding{Verdict: proven.Foreign, UID: 7}},
		"listener-missing: ": unix.ECONNREFUSED,
		"unproven: ":         os.ErrDeadlineExceeded,
	} {
		local.Connect = func(*proven.Life, time.Time) error { return fail }
		if err := g.check(); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("a connection that leads elsewhere (%v): %v", fail, err)
		}
	}
	local.Connect = proven.Check
	g.Record.Publish = &status.Publish{Port: 1, Problem: "another process has it"}
	if err := g.check(); err == nil || !strings.Contains(err.Error(), "listener-foreign: not held: another") {
		t.Errorf("another process has the port that clients use: %v", err)
	}
	g.Record.Publish = nil
	g.Record.Gateway.UID++
	if err := g.check(); err == nil || !strings.Contains(err.Error(), "listener-foreign: "+l.Addr().String()) {
		t.Errorf("of another uid: %v", err)
	}
	if err := g.again(); err == nil || !strings.Contains(err.Error(), "listener-foreign: "+l.Addr().String()) {
		t.Errorf("of another uid, later: %v", err)
	}
	l.Close()
	if err := g.check(); err == nil || !strings.Contains(err.Error(), "listener-missing") {
		t.Errorf("closed: %v", err)
	}
	if err := g.again(); err != nil { // the gateway may open it again
		t.Errorf("closed, later: %v", err)
	}
	local.Listeners = func(uint16) ([]sockets.Listener, error) { return nil, errors.New("too many") }
	if err := g.again(); err == nil || !strings.Contains(err.Error(), "unproven: too many") {
		t.Errorf("not to be seen, later: %v", err)
	}
}
