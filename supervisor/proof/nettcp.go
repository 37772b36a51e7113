// SPDX-License-Identifier: Apache-2.0

package proof

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/netip"
	"os"
	"strconv"
)

// errNetTCP is the error of ParseNetTCPLine.
var errNetTCP = errors.New("cannot parse net/tcp line")

// ParseNetTCPLine parses one line of /proc/net/tcp or, with v6, of tcp6
// (proc_pid_net(5)), without its heading:
//
//	sl local:port remote:port st tx:rx tr:when retrnsmt uid timeout inode ...
func ParseNetTCPLine(line []byte, v6 bool) (local, remote netip.AddrPort, state uint8, uid uint32, inode uint64, err error) {
	f := bytes.Fields(line)
	if len(f) < 10 {
		return local, remote, 0, 0, 0, errNetTCP
	}
	local, err1 := procAddr(f[1], v6)
	remote, err2 := procAddr(f[2], v6)
	st, err3 := strconv.ParseUint(string(f[3]), 16, 8)
	id, err4 := strconv.ParseUint(string(f[7]), 10, 32)
	inode, err5 := strconv.ParseUint(string(f[9]), 10, 64)
	for _, e := range []error{err1, err2, err3, err4, err5} {
		if e != nil {
			return netip.AddrPort{}, netip.AddrPort{}, 0, 0, 0, errNetTCP
		}
	}
	return local, remote, uint8(st), uint32(id), inode, nil
}

// procAddr parses "0100007F:1F90": 32-bit words in host order, port in hex.
func procAddr(b []byte, v6 bool) (netip.AddrPort, error) {
	digits := 8
	if v6 {
		digits = 32
	}
	host, port, ok := bytes.Cut(b, []byte{':'})
	if !ok || len(port) != 4 || len(host) != digits {
		return netip.AddrPort{}, errNetTCP
	}
	raw := make([]byte, len(host)/2)
	if _, err := hex.Decode(raw, host); err != nil {
		return netip.AddrPort{}, errNetTCP
	}
	for i := 0; i < len(raw); i += 4 {
		binary.NativeEndian.PutUint32(raw[i:], binary.BigEndian.Uint32(raw[i:]))
	}
	p, err := strconv.ParseUint(string(port), 16, 16)
	addr, ok := netip.AddrFromSlice(raw)
	if err != nil || !ok {
		return netip.AddrPort{}, errNetTCP
	}
	return netip.AddrPortFrom(addr, uint16(p)), nil
}

// procSockets reads both tables line by line and returns the sockets for which want
// is true.
func procSockets(want func(socket) bool) ([]socket, error) {
	var out []socket
	for _, v6 := range []bool{false, true} {
		path := "/proc/self/net/tcp"
		if v6 {
			path += "6"
		}
		f, err := os.Open(path)
		if v6 && errors.Is(err, fs.ErrNotExist) {
			continue // a kernel without IPv6
		}
		if err != nil {
			return nil, err
		}
		out, err = scanSockets(f, v6, want, out)
		f.Close()
		if err != nil {
			return nil, err
		}
	}
	return out, nil
}

// scanSockets reads one table in pieces of 4 KiB.
func scanSockets(r io.Reader, v6 bool, want func(socket) bool, out []socket) ([]socket, error) {
	lines := bufio.NewScanner(r)
	lines.Buffer(make([]byte, 4096), 4096) // a line is some 150 bytes
	// A runtime may mask the file with an empty one. That is not an empty table.
	if !lines.Scan() || !bytes.Contains(lines.Bytes(), []byte("local_address")) {
		return nil, errors.Join(errNetTCP, lines.Err())
	}
	for lines.Scan() {
		var s socket
		var err error
		if s.local, s.remote, s.state, s.uid, s.inode, err = ParseNetTCPLine(lines.Bytes(), v6); err != nil {
			return nil, err
		}
		if want(s) {
			if len(out) >= maxSocket {
				return nil, fmt.Errorf("more than %d sockets", maxSocket)
			}
			out = append(out, s)
		}
	}
	return out, lines.Err()
}
