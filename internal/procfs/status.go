// SPDX-License-Identifier: Apache-2.0

package procfs

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"strconv"

	"github.com/gateway-init/gateway-init/internal/sys"
)

// State is the state of a process, as far as it matters. It does not say whether
// the process runs or sleeps, because that differs between any two looks.
type State byte

// The states.
const (
	Running State = 'R' // or sleeping, or in the kernel
	Stopped State = 'T' // by a signal or by a tracer
	Zombie  State = 'Z' // dead, or only its first thread is dead
)

// Status holds the fields of /proc/PID/status (proc_pid_status(5)) that are needed.
type Status struct {
	State   State
	PPID    int
	UIDs    [4]uint32 // real, effective, saved, file system
	GIDs    [4]uint32
	NSpid   []int // its pids, from our PID namespace inward; empty before Linux 4.1
	Threads int
}

// Only reports whether all four uids are uid.
func (s Status) Only(uid uint32) bool { return s.UIDs == [4]uint32{uid, uid, uid, uid} }

// Ended reports whether nothing of the process runs any more. A zombie whose other
// threads live on (its first thread called exit(2) alone) has not ended.
func (s Status) Ended() bool { return s.State == Zombie && s.Threads <= 1 }

// Headless reports whether the process is a zombie whose other threads live on. Such
// a process shows no arguments and no program.
func (s Status) Headless() bool { return s.State == Zombie && s.Threads > 1 }

// maxStatus bounds a status file that a Handle reads.
const maxStatus = 16 << 10

// errStatus is the error of parseStatus.
var errStatus = errors.New("cannot parse /proc/PID/status")

// ReadStatus reads the Status of pid once, which is enough for a first look, but
// not for a proof.
func ReadStatus(pid int) (Status, error) {
	h, err := Open(pid)
	if err != nil {
		return Status{}, err
	}
	defer h.Close()
	return h.status()
}

// ReadUID reads the real uid of pid. Unlike ReadStatus it does not check that /proc is
// procfs.
func ReadUID(pid int) (uint32, error) {
	text, err := sys.ReadFile("/proc/" + strconv.Itoa(pid) + "/status")
	if err != nil {
		return 0, whyUnseen(pid, err)
	}
	s, err := parseStatus(text)
	return s.UIDs[0], err
}

// parseStatus parses a status file and takes the first line of each kind. The
// kernel escapes newlines in Name, the only line that the process chooses.
func parseStatus(text []byte) (s Status, err error) {
	fields := []struct {
		name  string
		parse func(value []byte) bool
		seen  bool
	}{
		{name: "NSpid", parse: func(value []byte) bool { return parsePIDs(value, &s.NSpid) }},
		{name: "State", parse: func(value []byte) bool { return parseState(value, &s.State) }},
		{name: "PPid", parse: func(value []byte) bool { return parseCount(value, 0, &s.PPID) }},
		{name: "Uid", parse: func(value []byte) bool { return parseIDs(value, &s.UIDs) }},
		{name: "Gid", parse: func(value []byte) bool { return parseIDs(value, &s.GIDs) }},
		{name: "Threads", parse: func(value []byte) bool { return parseCount(value, 0, &s.Threads) }},
	}
	for line := range bytes.Lines(text) {
		key, value, ok := bytes.Cut(bytes.TrimSuffix(line, []byte("\n")), []byte(":\t"))
		for i := range fields {
			f := &fields[i]
			if !ok || f.seen || string(key) != f.name {
				continue
			}
			if f.seen = true; !f.parse(value) {
				return Status{}, fmt.Errorf("%w, %s", errStatus, f.name)
			}
		}
	}
	for _, f := range fields[1:] { // NSpid may be missing
		if !f.seen {
			return Status{}, fmt.Errorf("%w: no %s", errStatus, f.name)
		}
	}
	return s, nil
}

// parseState does not distinguish a process that runs, sleeps or waits for a disk,
// because that differs between any two looks.
func parseState(value []byte, to *State) bool {
	if len(value) == 0 {
		return false
	}
	switch value[0] {
	case 'T', 't':
		*to = Stopped
	case 'Z', 'X', 'x':
		*to = Zombie
	case 'R', 'S', 'D', 'I', 'K', 'W', 'P':
		*to = Running
	default:
		return false
	}
	return true
}

func parsePIDs(value []byte, to *[]int) bool {
	for text := range bytes.SplitSeq(value, []byte("\t")) {
		var pid int
		if !parseCount(text, 0, &pid) {
			return false
		}
		*to = append(*to, pid)
	}
	return true
}

// parseIDs parses four uids or gids.
func parseIDs(value []byte, to *[4]uint32) bool {
	fields := bytes.Split(value, []byte("\t"))
	if len(fields) != len(to) {
		return false
	}
	for i, text := range fields {
		n, ok := parseDecimal(text)
		if !ok || n > math.MaxUint32 {
			return false
		}
		to[i] = uint32(n)
	}
	return true
}
