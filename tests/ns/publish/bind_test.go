// SPDX-License-Identifier: Apache-2.0

package publish

import (
	"fmt"
	"net/netip"
	"os"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/gateway-init/gateway-init/internal/testenv"
	"github.com/gateway-init/gateway-init/tests/ns/box"
)

// The options of a bind, as bits.
const (
	reuseAddr = 1 << iota
	reusePort
	dual     // without IPV6_V6ONLY
	freeBind // the address need not exist
	toLo     // SO_BINDTODEVICE
	multipath
	allOptions
)

// bind binds the published port and closes the socket.
func bind(addr netip.Addr, options int) error {
	family, protocol, level, free := unix.AF_INET, unix.IPPROTO_TCP, unix.IPPROTO_IP, unix.IP_FREEBIND
	if addr.Is6() {
		family, level, free = unix.AF_INET6, unix.IPPROTO_IPV6, unix.IPV6_FREEBIND
	}
	if options&multipath != 0 {
		protocol = unix.IPPROTO_MPTCP
	}
	fd, err := unix.Socket(family, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, protocol)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	on := func(option, level, name int) {
		if options&option != 0 {
			_ = unix.SetsockoptInt(fd, level, name, 1)
		}
	}
	on(reuseAddr, unix.SOL_SOCKET, unix.SO_REUSEADDR)
	on(reusePort, unix.SOL_SOCKET, unix.SO_REUSEPORT)
	on(freeBind, level, free)
	if options&toLo != 0 {
		_ = unix.SetsockoptString(fd, unix.SOL_SOCKET, unix.SO_BINDTODEVICE, "lo")
	}
	if addr.Is4() {
		return unix.Bind(fd, &unix.SockaddrInet4{Port: publishedPort, Addr: addr.As4()})
	}
	only := 1
	if options&dual != 0 {
		only = 0
	}
	_ = unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_V6ONLY, only)
	return unix.Bind(fd, &unix.SockaddrInet6{Port: publishedPort, Addr: addr.As16()})
}

const publishedPort = 18789

// bindAll tries each form of the published address with each set of options as uid, and
// returns those that it could bind.
func bindAll(b *box.Box, uid int) (won []string, tries int, err error) {
	err = within(b, uid, func() error {
		for _, text := range []string{"0.0.0.0", "127.0.0.1", "127.0.0.2", "::", "::1", "::ffff:127.0.0.1", "::ffff:0.0.0.0", "192.0.2.1", "2001:db8::1"} {
			for options := range allOptions {
				tries++
				if bind(netip.MustParseAddr(text), options) == nil {
					won = append(won, fmt.Sprintf("%s with options %#x", text, options))
				}
			}
		}
		return nil
	})
	return won, tries, err
}

// Scenario C02. TestNoFormOfThePublishedAddressIsFree tries each form against each
// published address, as the agent and as root, with IPv6, without it, and when it is
// switched on later.
func TestNoFormOfThePublishedAddressIsFree(t *testing.T) {
	for _, address := range []string{"127.0.0.1", "0.0.0.0", "::", "*"} {
		for name, below := range map[string][]string{"ipv6": nil, "ipv6-later": {"/usr/local/bin/demotools", "no-ipv6"}} {
			t.Run(map[string]string{"127.0.0.1": "loopback", "0.0.0.0": "v4", "::": "v6", "*": "all"}[address]+"-"+name, func(t *testing.T) {
				b := box.Start(t, box.Options{Published: true, Below: below, Config: obj{"publish": obj{"address": address}}})
				b.WaitServing(serveBy)
				none := func(when string) {
					t.Helper()
					for _, uid := range []int{box.SandboxUID, 0} {
						if won, tries, err := bindAll(b, uid); err != nil || len(won) > 0 || tries < 500 {
							t.Errorf("%s uid %d binds %v, %v (%d tries)", when, uid, won, err, tries)
						}
					}
				}
				none("at first")
				if below != nil {
					testenv.Must(t, within(b, 0, func() error { return setIPv6(true) }))
					none("with IPv6 switched on")
					if code, err := get(b, "[::1]:18789", "/health"); code != 200 || err != nil {
						t.Errorf("[::1]: %d, %v", code, err)
					}
				}
			})
		}
	}
}

// setIPv6 switches IPv6 on or off in the network namespace of this thread.
func setIPv6(on bool) error {
	value := "1"
	if on {
		value = "0"
	}
	for _, name := range []string{"all", "default", "lo"} {
		if err := os.WriteFile("/proc/sys/net/ipv6/conf/"+name+"/disable_ipv6", []byte(value), 0o644); err != nil {
			return err
		}
	}
	return nil
}
