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
	Port    uint16
	Addr    netip.AddrPort // of its socket; the zero value if the kernel does not show it
	UID     uint32
	Listens bool
}

func (e *TakenError) Error() string {
	if !e.Addr.IsValid() {
		return fmt.Sprintf("port %d is taken: a process that this kernel does not show has bound it", e.Port)
	}
	does := "is bound"
	if e.Listens {
		does = "listens"
	}
	return fmt.Sprintf("port %d is taken by uid %d: %s %s", e.Port, e.UID, e.Addr, does)
}

// Probe returns a *TakenError if another process has the port. Closed connections that no
// process has any more (TIME_WAIT, for example) do not count, because SO_REUSEADDR passes
// over them. Any other error means that it could not be found out.
func Probe(port uint16) error {
	if isFree(port) {
		return nil
	}
	ls, err := sockets.Listeners(port)
	if len(ls) > 0 {
		return &TakenError{port, ls[0].Addr, ls[0].UID, true}
	}
	bound, leftovers, errBound := sockets.ListBound(port)
	switch {
	case len(bound) > 0:
		return &TakenError{port, bound[0].Local, bound[0].UID, false}
	case err != nil || errBound != nil:
		return errors.Join(err, errBound)
	case leftovers:
		return nil
	}
	// Before Linux 6.8 the kernel does not show a socket that is bound alone.
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
