// SPDX-License-Identifier: Apache-2.0

package main

import (
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// snapshot is what this process was started with, so that a test can compare
// one launch with another.
type snapshot struct {
	Args        []string          `json:"args"`
	Cwd         string            `json:"cwd"`
	Session     bool              `json:"session"`       // leads its session
	Group       bool              `json:"group"`         // leads its process group
	Descriptors map[string]string `json:"descriptors"`   // number to link; pipes and sockets without their inode
	Limits      map[string]string `json:"limits"`        // /proc/self/limits, name to "soft hard"
	Status      map[string]string `json:"status"`        // /proc/self/status: umask, ids, capabilities, signals
	OOMScoreAdj string            `json:"oom_score_adj"` // /proc/self/oom_score_adj
}

func lookAtSelf() snapshot {
	s := snapshot{Args: slices.Clone(os.Args), Descriptors: map[string]string{}, Limits: map[string]string{}, Status: map[string]string{}}
	for _, fd := range openDescriptors() {
		if !inherited(fd) {
			continue
		}
		link, err := os.Readlink("/proc/self/fd/" + fd)
		if err != nil {
			continue // the one that listed them
		}
		kind, _, _ := strings.Cut(link, ":[")
		s.Descriptors[fd] = kind
	}
	s.Cwd, _ = os.Getwd()
	pid := os.Getpid()
	s.Group = syscall.Getpgrp() == pid
	if sid, _, errno := syscall.RawSyscall(syscall.SYS_GETSID, 0, 0, 0); errno == 0 {
		s.Session = int(sid) == pid
	}
	s.readLimits()
	s.readStatus()
	adj, _ := os.ReadFile("/proc/self/oom_score_adj")
	s.OOMScoreAdj = strings.TrimSpace(string(adj))
	return s
}

// inherited tells what we were given from what the Go runtime has opened for
// itself: only the former came through execve, so only it has no FD_CLOEXEC.
func inherited(fd string) bool {
	n, err := strconv.Atoi(fd)
	if err != nil {
		return false
	}
	flags, err := unix.FcntlInt(uintptr(n), unix.F_GETFD, 0)
	return err == nil && flags&unix.FD_CLOEXEC == 0
}

// openDescriptors reads the directory by hand: package os would open a poller,
// and this list is about what we were given.
func openDescriptors() []string {
	fd, err := syscall.Open("/proc/self/fd", syscall.O_RDONLY|syscall.O_DIRECTORY|syscall.O_CLOEXEC, 0)
	if err != nil {
		return nil
	}
	defer syscall.Close(fd)
	var names []string
	buf := make([]byte, 8192)
	for {
		n, err := syscall.ReadDirent(fd, buf)
		if n <= 0 || err != nil {
			return slices.DeleteFunc(names, func(name string) bool { return name == strconv.Itoa(fd) })
		}
		_, _, names = syscall.ParseDirent(buf[:n], -1, names)
	}
}

func (s *snapshot) readLimits() {
	data, _ := os.ReadFile("/proc/self/limits")
	for line := range strings.Lines(string(data)) {
		if len(line) > 66 && !strings.HasPrefix(line, "Limit ") {
			fields := strings.Fields(line[26:])
			s.Limits[strings.TrimSpace(line[:26])] = fields[0] + " " + fields[1]
		}
	}
}

func (s *snapshot) readStatus() {
	wanted := []string{"Umask", "Uid", "Gid", "Groups", "CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb", "NoNewPrivs", "Seccomp", "SigBlk", "SigIgn"}
	data, _ := os.ReadFile("/proc/self/status")
	for line := range strings.Lines(string(data)) {
		if key, value, ok := strings.Cut(line, ":"); ok && slices.Contains(wanted, key) {
			s.Status[key] = strings.Join(strings.Fields(value), " ")
		}
	}
}
