package main

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
	"strings"
)

func itoa(n int) string { return strconv.Itoa(n) }

// procStatus is what is needed of /proc/PID/status (proc_pid_status(5)).
type procStatus struct {
	state byte      // R, S, D, Z, T, ...
	uids  [4]uint32 // real, effective, saved, file system
}

// only tells whether all four are uid.
func (p procStatus) only(uid uint32) bool { return p.uids == [4]uint32{uid, uid, uid, uid} }

var errProcStatus = errors.New("cannot parse /proc/PID/status")

func readProcStatus(pid int) (procStatus, error) {
	text, err := readProc(pid, "status")
	if err != nil {
		return procStatus{}, err
	}
	return parseProcStatus(text)
}

// parseProcStatus takes the first State and Uid line; the kernel escapes
// newlines in Name, the only line before them that the process chooses.
func parseProcStatus(text []byte) (p procStatus, err error) {
	seen := 0
	for line := range bytes.Lines(text) {
		key, value, _ := strings.Cut(strings.TrimSuffix(string(line), "\n"), ":\t")
		switch {
		case key == "State" && p.state == 0 && value != "":
			p.state = value[0]
			seen++
		case key == "Uid":
			fields := strings.Split(value, "\t")
			if len(fields) != 4 {
				return procStatus{}, errProcStatus
			}
			for i, f := range fields {
				n, err := strconv.ParseUint(f, 10, 32)
				if err != nil {
					return procStatus{}, fmt.Errorf("%w: %w", errProcStatus, err)
				}
				p.uids[i] = uint32(n)
			}
			if seen++; seen == 2 {
				return p, nil
			}
			return procStatus{}, errProcStatus
		}
	}
	return procStatus{}, errProcStatus
}
