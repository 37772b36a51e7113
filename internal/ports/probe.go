// SPDX-License-Identifier: Apache-2.0

package ports

import (
	"errors"
	"fmt"
	"net/netip"

	"golang.org/x/sys/unix"

	"github.com/gateway-init/gateway-init/internal/sockets"
	"github.com/gateway-init/gateway-init/internal/sys"
)

// TakenError means that another process has a port, perhaps without listening on it.
type TakenError struct {
	Port  uint16
	By    sockets.Socket // one of its sockets; the zero value if the kernel shows none
	Shown bool           // the kernel shows By
}

func (e *TakenError) Error() string {
	if !e.Shown {
		return fmt.Sprintf("port %d is taken: a process that this kernel does not name has bound it", e.Port)
	}
	does := "has it bound"
	if e.By.Listens {
		does = "listens"
	}
	return fmt.Sprintf("port %d is taken by uid %d: %s %s", e.Port, e.By.UID, e.By.Addr, does)
}

// Probe returns a *TakenError if another process has the port. The remains of connections
// that no process has open (TIME_WAIT, for example) do not count, because SO_REUSEADDR
// passes over them.
func Probe(port uint16) error {
	if isFree(port) {
		return nil
	}
	found, err := sockets.OnPort(port)
	if err != nil {
		return err
	}
	remains := false
	for _, s := range found {
		if !s.Orphan {
			return &TakenError{Port: port, By: s, Shown: true}
		}
		remains = true
	}
	if remains {
		return nil
	}
	// Before Linux 6.8 the kernel does not show a socket that is bound and not connected.
	return &TakenError{Port: port}
}

// isFree reports whether the port can be bound on all addresses of both families.
func isFree(port uint16) bool {
	for _, addr := range []netip.Addr{netip.IPv4Unspecified(), netip.IPv6Unspecified()} {
		f, err := sys.BindTCP(netip.AddrPortFrom(addr, port), sys.Bind{})
		if err == nil {
			f.Close()
		} else if !errors.Is(err, unix.EAFNOSUPPORT) {
			return false
		}
	}
	return true
}
