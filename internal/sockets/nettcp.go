// SPDX-License-Identifier: Apache-2.0

package sockets

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"io"
	"io/fs"
	"net/netip"
	"os"
	"strconv"
)

// errNetTCP is the error of parseNetTCPLine.
var errNetTCP = errors.New("cannot parse net/tcp line")

// parseNetTCPLine parses one line of /proc/net/tcp or, with v6, of tcp6
// (proc_pid_net(5)), without its heading:
//
//	sl local:port remote:port st tx:rx tr:when retrnsmt uid timeout inode ...
func parseNetTCPLine(line []byte, v6 bool) (Socket, error) {
	f := bytes.Fields(line)
	if len(f) < 10 {
		return Socket{}, errNetTCP
	}
	local, err1 := parseAddr(f[1], v6)
	remote, err2 := parseAddr(f[2], v6)
	state, err3 := strconv.ParseUint(string(f[3]), 16, 8)
	uid, err4 := strconv.ParseUint(string(f[7]), 10, 32)
	inode, err5 := strconv.ParseUint(string(f[9]), 10, 64)
	for _, err := range []error{err1, err2, err3, err4, err5} {
		if err != nil {
			return Socket{}, errNetTCP
		}
	}
	return Socket{Local: local, Remote: remote, State: uint8(state), UID: uint32(uid), Inode: inode}, nil
}

// parseAddr parses "0100007F:1F90": 32-bit words in host order, port in hex.
func parseAddr(b []byte, v6 bool) (netip.AddrPort, error) {
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

// Rows returns the sockets of /proc/net/tcp{,6} that want accepts. It takes some
// milliseconds for a thousand sockets. The error is ErrMany if there are too many.
func Rows(want func(Socket) bool) ([]Socket, error) { return readSockets(want) }

// readSockets reads both tables line by line and returns the sockets that want accepts.
// With the error ErrMany, it returns the first ones.
func readSockets(want func(Socket) bool) ([]Socket, error) {
	var out []Socket
	for _, v6 := range []bool{false, true} {
		path := "/proc/thread-self/net/tcp" // AsUser may have taken this thread into another namespace
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
			return out, err
		}
	}
	return out, nil
}

// scanSockets reads one table in pieces of 4 KiB.
func scanSockets(r io.Reader, v6 bool, want func(Socket) bool, out []Socket) ([]Socket, error) {
	lines := bufio.NewScanner(r)
	lines.Buffer(make([]byte, 4096), 4096) // a line is some 150 bytes
	// A runtime may mask the file with an empty one. That is not an empty table.
	if !lines.Scan() || !bytes.Contains(lines.Bytes(), []byte("local_address")) {
		return nil, errors.Join(errNetTCP, lines.Err())
	}
	for lines.Scan() {
		s, err := parseNetTCPLine(lines.Bytes(), v6)
		if err != nil {
			return nil, err
		}
		if want(s) {
			if len(out) >= maxSocket {
				return out, ErrMany
			}
			out = append(out, s)
		}
	}
	return out, lines.Err()
}
