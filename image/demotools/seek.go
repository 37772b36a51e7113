// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// baitEnv is the variable of keepBait.
const baitEnv = "SEEK_BAIT"

// seekRest is between two looks at everything: a stage lives some milliseconds,
// and it must have a processor, too.
const seekRest = time.Millisecond

// stageName is how a launch stage and a proof worker call themselves.
const stageName = "gateway-init:stage"

// seeking is one seeker: a program of the gateway's user that tries each way to
// a token of which the kernel could let one process of a user have another's.
type seeking struct {
	loot, log *os.File
	seen      map[string]bool // what the files have already
	searched  map[string]bool // processes whose memory was searched
	self      int
}

// seek waits for its turn, becomes UID, and then looks without a pause until it
// is ended. DIR/loot gets what it took, a line for each: the way, the process,
// and the bytes, quoted. DIR/log gets "stage PID ARGUMENT" for each stage that it
// saw, and "WAY ERRNO" for each way in which the kernel refused it a stage.
func seek(args []string) error {
	uid, err := number(args[0])
	if err != nil {
		return err
	}
	runtime.LockOSThread() // a tracer is a thread
	fmt.Println(huntReady)
	if _, err := io.Copy(io.Discard, os.Stdin); err != nil {
		return err
	}
	if os.Getuid() != uid {
		if err := becomeUser(uid); err != nil {
			return err
		}
	}
	s := &seeking{seen: map[string]bool{}, searched: map[string]bool{}, self: os.Getpid()}
	for name, f := range map[string]**os.File{"loot": &s.loot, "log": &s.log} {
		if *f, err = os.OpenFile(filepath.Join(args[1], name), os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600); err != nil {
			return err
		}
	}
	proc, err := os.Open("/proc")
	if err != nil {
		return err
	}
	for {
		if _, err := proc.Seek(0, io.SeekStart); err != nil {
			return err
		}
		names, err := proc.Readdirnames(-1)
		if err != nil {
			return err
		}
		for _, name := range names {
			if pid, err := strconv.Atoi(name); err == nil && pid != s.self {
				s.rob(pid)
			}
		}
		s.byName()
		time.Sleep(seekRest)
	}
}

func becomeUser(uid int) error {
	if err := syscall.Setgroups(nil); err != nil {
		return err
	}
	if err := syscall.Setgid(uid); err != nil {
		return err
	}
	return syscall.Setuid(uid)
}

// byName opens what is in the runtime directory.
func (s *seeking) byName() {
	for _, dir := range []string{"/run/gateway-init", "/dev/.gateway-init"} {
		names := []string{"gateway-token", "gateway-token.new", "status.json", "clients.lock"}
		if entries, err := os.ReadDir(dir); err == nil {
			for _, e := range entries {
				names = append(names, e.Name())
			}
		}
		for _, name := range names {
			f, err := os.OpenFile(filepath.Join(dir, name), os.O_RDONLY|unix.O_NONBLOCK|unix.O_NOFOLLOW, 0)
			if err != nil {
				s.note("name " + name + " " + errnoName(err))
				continue
			}
			s.takeFile("name", 0, f)
		}
	}
}

// rob tries each way on one process. Other seekers are left alone.
func (s *seeking) rob(pid int) {
	dir := "/proc/" + strconv.Itoa(pid)
	line, _ := os.ReadFile(dir + "/cmdline")
	words := bytes.Split(line, []byte{0})
	if len(words) > 1 && string(words[1]) == "seek" {
		return
	}
	stage := string(words[0]) == stageName
	if stage && len(words) > 1 {
		s.note(fmt.Sprintf("stage %d %s", pid, words[1]))
	}
	// The errors of a stage are kept: they show that it was tried.
	refused := func(way string, err error) {
		if stage && err != nil {
			s.note(way + " " + errnoName(err))
		}
	}
	refused("getfd", s.getfd(pid))
	refused("fd", s.descriptors(pid, dir))
	data, err := os.ReadFile(dir + "/environ")
	refused("environ", err)
	s.take("environ", pid, data)
	// A search takes long, and the next stage may be gone by then: one for each
	// program that is no stage.
	if what := dir + string(line); stage || !s.searched[what] {
		s.searched[what] = true
		refused("ptrace", s.trace(pid))
		refused("mem", s.memory(pid, dir))
	}
}

// take writes a line of the loot; the same bytes once for a process.
func (s *seeking) take(way string, pid int, data []byte) {
	if len(data) > 0 {
		s.once(s.loot, fmt.Sprintf("%s %d %q\n", way, pid, data))
	}
}

func (s *seeking) note(line string) { s.once(s.log, line+"\n") }

// once is one write to an append-only file, so lines of two seekers do not mix.
func (s *seeking) once(f *os.File, line string) {
	if !s.seen[line] {
		s.seen[line] = true
		_, _ = f.WriteString(line)
	}
}

func errnoName(err error) string {
	for _, errno := range []syscall.Errno{unix.EACCES, unix.EPERM, unix.ENOENT, unix.ESRCH, unix.ENOSYS, unix.EIO} {
		if strings.HasSuffix(err.Error(), errno.Error()) {
			return unix.ErrnoName(errno)
		}
	}
	return strings.ReplaceAll(err.Error(), " ", "-")
}
