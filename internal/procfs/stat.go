// SPDX-License-Identifier: Apache-2.0

package procfs

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"

	"github.com/gateway-init/gateway-init/internal/sys"
)

// Stat is the part of /proc/PID/stat (proc_pid_stat(5)) that is needed.
type Stat struct {
	PID     int
	Comm    string
	State   byte // R, S, D, Z, ...
	PPID    int
	PGRP    int // -1 with Session -1: already released, about to vanish
	Session int
	Threads int
	Start   uint64
}

// maxStat bounds a stat line. The kernel's line has some 350 bytes. It would be
// shorter than statSize even if every number in it had its greatest length.
const (
	maxStat  = 4096
	statSize = 1536
)

// errStat is the error of parseStat.
var errStat = errors.New("cannot parse stat line")

// parseStat parses a stat line. The process chooses its own name, which may hold
// spaces, parentheses and newlines. The name ends at the last parenthesis.
func parseStat(data []byte) (Stat, error) {
	open, end := bytes.IndexByte(data, '('), bytes.LastIndexByte(data, ')')
	if len(data) > maxStat || open < 2 || end < open || data[open-1] != ' ' {
		return Stat{}, errStat
	}
	fields := make([][]byte, 0, 20) // from field 3 on, only those that matter, because thousands of lines are read
	for f := range bytes.FieldsSeq(data[end+1:]) {
		if fields = append(fields, f); len(fields) == cap(fields) {
			break
		}
	}
	if len(fields) < 20 || len(fields[0]) != 1 || fields[0][0]|0x20 < 'a' || fields[0][0]|0x20 > 'z' {
		return Stat{}, errStat
	}
	st := Stat{Comm: string(data[open+1 : end]), State: fields[0][0]}
	for _, f := range []struct {
		to   *int
		text []byte
		low  int
	}{
		{&st.PID, data[:open-1], 1},
		{&st.PPID, fields[1], 0},
		{&st.PGRP, fields[2], -1},
		{&st.Session, fields[3], -1},
		{&st.Threads, fields[17], 0},
	} {
		if !parseCount(f.text, f.low, f.to) {
			return Stat{}, errStat
		}
	}
	var ok bool
	if st.Start, ok = parseDecimal(fields[19]); !ok {
		return Stat{}, errStat
	}
	return st, nil
}

// parseCount parses a pid or a count into to. It reports whether the number is at
// least low and far below the bounds of int.
func parseCount(b []byte, low int, to *int) bool {
	if low < 0 && string(b) == "-1" {
		*to = -1
		return true
	}
	n, ok := parseDecimal(b)
	*to = int(n & (1<<30 - 1))
	return ok && n < 1<<30 && *to >= low
}

// parseDecimal parses a decimal number without sign or leading zero.
func parseDecimal(b []byte) (uint64, bool) {
	if len(b) == 0 || len(b) > 1 && b[0] == '0' {
		return 0, false
	}
	n, err := strconv.ParseUint(string(b), 10, 64)
	return n, err == nil
}

// ReadStat reads the stat line of a process. The error is ErrGone if there is none, and
// ErrHidden if /proc does not show it.
func ReadStat(pid int) (Stat, error) { return readStat(pid, make([]byte, statSize)) }

// readStat reads into buf by one read, because the kernel makes the line at once.
func readStat(pid int, buf []byte) (Stat, error) {
	n, err := sys.ReadOnce("/proc/"+strconv.Itoa(pid)+"/stat", buf)
	if err != nil {
		return Stat{}, whyUnseen(pid, err)
	}
	if n == len(buf) {
		return Stat{}, fmt.Errorf("%w: it has %d bytes or more", errStat, n)
	}
	st, err := parseStat(buf[:n])
	if err == nil && st.PID != pid {
		err = fmt.Errorf("%w: it names pid %d", errStat, st.PID)
	}
	return st, err
}

// ID returns the identity of the process.
func (st Stat) ID() ID { return ID{st.PID, st.Start} }

// Ended reports whether no thread of the process is left. A process of which only
// the first thread has ended is a zombie, too, until the others have ended.
func (st Stat) Ended() bool { return (st.State == 'Z' || st.State == 'X') && st.Threads <= 1 }
