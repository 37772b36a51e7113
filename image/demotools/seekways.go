// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// Bounds of a look at one process.
const (
	seekFDs   = 32       // descriptors that are asked for by number
	seekFile  = 64 << 10 // bytes of one file
	seekArea  = 1 << 20  // bytes of one mapping
	secretLen = 64       // digits of a token
)

// getfd takes descriptors out of a process: pidfd_getfd(2).
func (s *seeking) getfd(pid int) error {
	pidfd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		return err
	}
	defer unix.Close(pidfd)
	for n := range seekFDs {
		fd, err := unix.PidfdGetfd(pidfd, n, 0)
		if err == unix.EBADF {
			continue
		}
		if err != nil {
			return err
		}
		s.takeFile("getfd", pid, os.NewFile(uintptr(fd), "taken"))
	}
	return nil
}

// descriptors reads the links in /proc/PID/fd and opens what they lead to.
func (s *seeking) descriptors(pid int, dir string) error {
	names, refused := os.ReadDir(dir + "/fd")
	for _, name := range names {
		path := dir + "/fd/" + name.Name()
		// Opening a pipe would take bytes from its reader.
		target, err := os.Readlink(path)
		if err != nil || !strings.HasPrefix(target, "/") || strings.HasPrefix(target, "/dev/") && !strings.HasPrefix(target, "/dev/.") {
			continue
		}
		f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NONBLOCK, 0)
		if err != nil {
			refused = err
			continue
		}
		s.takeFile("fd", pid, f)
	}
	return refused
}

// takeFile reads a regular file or memfd from its start and closes it.
func (s *seeking) takeFile(way string, pid int, f *os.File) {
	defer f.Close()
	info, err := f.Stat()
	if err != nil || !info.Mode().IsRegular() {
		return
	}
	data := make([]byte, seekFile)
	n, _ := f.ReadAt(data, 0)
	if name := filepath.Base(f.Name()); way == "name" {
		way += ":" + name
	}
	s.take(way, pid, data[:n])
}

// trace attaches to a process, and reads its memory and descriptors while it is
// stopped. A process of another user is not asked for: the kernel refuses that
// by its user alone.
func (s *seeking) trace(pid int) error {
	if err := seize(pid); err != nil {
		return err
	}
	_ = interrupt(pid)
	// Until it has stopped or ended: one that stops later would stay stopped.
	if _, err := unix.Wait4(pid, nil, unix.WALL, nil); err != nil {
		return err
	}
	_ = s.getfd(pid)
	_ = s.memory(pid, "/proc/"+strconv.Itoa(pid))
	_ = unix.PtraceDetach(pid)
	return nil
}

func seize(pid int) error     { return ptrace(unix.PTRACE_SEIZE, pid) }
func interrupt(pid int) error { return ptrace(unix.PTRACE_INTERRUPT, pid) }

func ptrace(request, pid int) error {
	_, _, errno := unix.Syscall6(unix.SYS_PTRACE, uintptr(request), uintptr(pid), 0, 0, 0, 0)
	if errno != 0 {
		return errno
	}
	return nil
}

// memory takes what looks like a token from the writable memory of a process.
func (s *seeking) memory(pid int, dir string) error {
	mem, err := os.Open(dir + "/mem")
	if err != nil {
		return err
	}
	defer mem.Close()
	maps, err := os.ReadFile(dir + "/maps")
	if err != nil {
		return err
	}
	buf := make([]byte, seekArea)
	for line := range strings.Lines(string(maps)) {
		var from, to int64
		var mode string
		if n, _ := fmt.Sscanf(line, "%x-%x %s", &from, &to, &mode); n != 3 || !strings.HasPrefix(mode, "rw") {
			continue
		}
		n, _ := mem.ReadAt(buf[:min(to-from, seekArea)], from)
		for _, found := range secrets(buf[:n]) {
			s.take("mem", pid, found)
		}
	}
	return nil
}

// secrets returns the runs of hexadecimal digits that are as long as a token or
// longer. It looks at every secretLen-th byte first: a run covers one of them.
func secrets(data []byte) (found [][]byte) {
	isDigit := func(i int) bool {
		return i >= 0 && i < len(data) && (data[i] >= '0' && data[i] <= '9' || data[i] >= 'a' && data[i] <= 'f')
	}
	for at := secretLen - 1; at < len(data); at += secretLen {
		if !isDigit(at) {
			continue
		}
		from, to := at, at
		for isDigit(from - 1) {
			from--
		}
		for isDigit(to) {
			to++
		}
		if to-from >= secretLen {
			found = append(found, data[from:min(to, from+4*secretLen)])
			at = to
		}
	}
	return found
}

// memfd is a file in memory with mode 0777, as the kernel makes it.
func memfd(text string) (*os.File, error) {
	fd, err := unix.MemfdCreate("bait", unix.MFD_CLOEXEC)
	if err != nil {
		return nil, err
	}
	f := os.NewFile(uintptr(fd), "bait")
	_, err = f.WriteString(text)
	return f, err
}
