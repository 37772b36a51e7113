// SPDX-License-Identifier: Apache-2.0

package ports

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/gateway-init/gateway-init/internal/sys"
)

// lowest is the lowest port that Pick returns. Below it a bind may need a capability.
const lowest = 1024

// maxPicks bounds the ports that Pick tries.
const maxPicks = 256

// Ephemeral is the range from which the kernel takes the source ports of connections
// (net.ipv4.ip_local_port_range). A gateway's port must not be in it: a client could get
// the port as its own, and its TIME_WAIT would block the gateway for a minute.
type Ephemeral struct{ First, Last uint16 }

// ReadEphemeral reads the range of our network namespace.
func ReadEphemeral() (Ephemeral, error) {
	data, err := sys.ReadFile("/proc/sys/net/ipv4/ip_local_port_range")
	if err != nil {
		return Ephemeral{}, fmt.Errorf("cannot read the range of ephemeral ports: %w", err)
	}
	return parseEphemeral(string(data))
}

var errRange = errors.New("cannot parse net.ipv4.ip_local_port_range")

func parseEphemeral(text string) (e Ephemeral, err error) {
	words := strings.Fields(text)
	if len(words) != 2 {
		return e, errRange
	}
	first, err1 := strconv.ParseUint(words[0], 10, 16)
	last, err2 := strconv.ParseUint(words[1], 10, 16)
	if err1 != nil || err2 != nil || first > last {
		return e, errRange
	}
	return Ephemeral{uint16(first), uint16(last)}, nil
}

// Has reports whether the port is in the range.
func (e Ephemeral) Has(port uint16) bool { return e.First <= port && port <= e.Last }

// errNoPort means that no port could be picked.
var errNoPort = errors.New("no free port found outside of the ephemeral range (net.ipv4.ip_local_port_range): narrow that range, or give gateway.listen.port")

// Pick returns a random port outside of the ephemeral range that is free in both
// families, and is none of those in not. Another process can still bind it before the
// gateway does.
func (e Ephemeral) Pick(not ...uint16) (uint16, error) {
	for range maxPicks {
		var b [2]byte
		if err := sys.Random(b[:]); err != nil {
			return 0, err
		}
		n := binary.NativeEndian.Uint16(b[:])
		if n < lowest || e.Has(n) || slices.Contains(not, n) {
			continue
		}
		if isFree(n) {
			return n, nil
		}
	}
	return 0, errNoPort
}

// IsReserved reports whether the kernel gives the port to no client, although it is in the
// ephemeral range (net.ipv4.ip_local_reserved_ports).
func IsReserved(port uint16) bool {
	data, err := sys.ReadFile("/proc/sys/net/ipv4/ip_local_reserved_ports")
	return err == nil && inList(string(data), port)
}

// inList reports whether a list such as "8080,9000-9010" has the port.
func inList(list string, port uint16) bool {
	for word := range strings.SplitSeq(strings.TrimSpace(list), ",") {
		first, last, isRange := strings.Cut(word, "-")
		if !isRange {
			last = first
		}
		low, err1 := strconv.ParseUint(first, 10, 16)
		high, err2 := strconv.ParseUint(last, 10, 16)
		if err1 == nil && err2 == nil && uint64(port) >= low && uint64(port) <= high {
			return true
		}
	}
	return false
}
