// SPDX-License-Identifier: Apache-2.0

package procfs

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"
)

// Status holds the fields of /proc/PID/status (proc_pid_status(5)) that are needed.
type Status struct {
	State   State
	PPID    int
	UIDs    [4]uint32 // real, effective, saved, file system
	GIDs    [4]uint32
	NSpid   []int // empty before Linux 4.1
	Threads int
}

// Only reports whether all four uids are uid.
func (s Status) Only(uid uint32) bool { return s.UIDs == [4]uint32{uid, uid, uid, uid} }

// Ended reports whether nothing of the process runs any more. A zombie whose other
// threads live on is no dead process.
func (s Status) Ended() bool { return s.State == Zombie && s.Threads <= 1 }

// ReadStatus reads the Status of pid once, which is enough for a first look, but
// not for a proof.
func ReadStatus(pid int) (Status, error) {
	p, err := Open(pid)
	if err != nil {
		return Status{}, err
	}
	defer p.Close()
	text, err := p.File("status", maxStatus)
	if err != nil {
		return Status{}, err
	}
	return ParseStatus(text)
}

// ParseStatus parses a status file and takes the first line of each kind. The
// kernel escapes newlines in Name, the only line that the process chooses.
func ParseStatus(text []byte) (s Status, err error) {
	seen := map[string]bool{}
	for line := range bytes.Lines(text) {
		key, value, ok := strings.Cut(strings.TrimSuffix(string(line), "\n"), ":\t")
		if !ok || seen[key] {
			continue
		}
		seen[key] = true
		switch key {
		case "State":
			s.State, err = stateOf(value)
		case "PPid":
			s.PPID, err = count(value)
		case "Threads":
			s.Threads, err = count(value)
		case "Uid":
			s.UIDs, err = four(value)
		case "Gid":
			s.GIDs, err = four(value)
		case "NSpid":
			s.NSpid, err = counts(value)
		}
		if err != nil {
			return Status{}, fmt.Errorf("%w /proc/PID/status, %s", errForm, key)
		}
	}
	for _, key := range []string{"State", "PPid", "Uid", "Gid", "Threads"} {
		if !seen[key] {
			return Status{}, fmt.Errorf("%w /proc/PID/status: no %s", errForm, key)
		}
	}
	return s, nil
}

// stateOf returns the State of a State line. It does not distinguish a process that
// runs, sleeps or waits for a disk, because that differs between any two looks.
func stateOf(value string) (State, error) {
	if value == "" {
		return 0, errForm
	}
	switch value[0] {
	case 'T', 't':
		return Stopped, nil
	case 'Z', 'X', 'x':
		return Zombie, nil
	case 'R', 'S', 'D', 'I', 'K', 'W', 'P':
		return Running, nil
	}
	return 0, errForm
}

func count(text string) (int, error) {
	n, err := strconv.ParseUint(text, 10, 31)
	return int(n), err
}

func counts(value string) (all []int, err error) {
	for text := range strings.SplitSeq(value, "\t") {
		n, err := count(text)
		if err != nil {
			return nil, err
		}
		all = append(all, n)
	}
	return all, nil
}

func four(value string) (ids [4]uint32, err error) {
	fields := strings.Split(value, "\t")
	if len(fields) != len(ids) {
		return ids, errForm
	}
	for i, text := range fields {
		n, err := strconv.ParseUint(text, 10, 32)
		if err != nil {
			return ids, err
		}
		ids[i] = uint32(n)
	}
	return ids, nil
}
