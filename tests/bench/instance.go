// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/binary"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// patience bounds the wait for any measured event.
const patience = 30 * time.Second

// now reads the clock of all measurements, which is the same in every namespace.
func now() int64 {
	var t unix.Timespec
	unix.ClockGettime(unix.CLOCK_MONOTONIC, &t) // cannot fail for this clock
	return t.Nano()
}

// instance is a running PID 1.
type instance struct {
	pid   int
	out   *os.File // its stdout: records
	began int64    // just before the clone
}

// start starts argv as PID 1 of a new PID namespace. It dies with us, because the
// caller is locked to a thread that stays.
func start(argv []string, flags uintptr, s spec) (*instance, error) {
	r, w, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer w.Close()
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		r.Close()
		return nil, err
	}
	defer null.Close()
	stdin, stderr := null.Fd(), null.Fd()
	switch {
	case s.mixed:
		stderr = w.Fd()
	case verbose:
		stderr = os.Stderr.Fd()
	}
	if s.stdin != nil {
		stdin = s.stdin.Fd()
	}
	attr := &syscall.ProcAttr{
		Dir: "/", Env: append([]string{"PATH=" + boxPath}, s.env...), Files: []uintptr{stdin, w.Fd(), stderr},
		Sys: &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWPID | flags, Setsid: true, Pdeathsig: unix.SIGKILL},
	}
	i := &instance{out: r, began: now()}
	i.pid, err = syscall.ForkExec(argv[0], argv, attr)
	if err != nil {
		r.Close()
		return nil, fmt.Errorf("cannot start %s: %w", argv[0], err)
	}
	return i, nil
}

// startPlain starts argv as PID 1 with the capabilities that Docker grants.
func (b *bench) startPlain(argv []string) (i *instance, err error) {
	b.docker.do(func() { i, err = start(argv, 0, spec{}) })
	return i, err
}

// record reads the next record: the time when the child wrote it.
func (i *instance) record() (int64, error) {
	var b [16]byte
	if err := i.out.SetReadDeadline(time.Now().Add(patience)); err != nil {
		return 0, err
	}
	if _, err := io.ReadFull(i.out, b[:]); err != nil {
		return 0, fmt.Errorf("no record of the child: %w", err)
	}
	return int64(binary.NativeEndian.Uint64(b[:8]))*1e9 + int64(binary.NativeEndian.Uint64(b[8:])), nil
}

// end kills PID 1 and waits for its exit. The kernel kills all others of the
// namespace.
func (i *instance) end() {
	unix.Kill(i.pid, unix.SIGKILL)
	for {
		if _, err := syscall.Wait4(i.pid, nil, 0, nil); err != syscall.EINTR {
			break
		}
	}
	i.out.Close()
}

// tasks calls f with the directory of each thread.
func (i *instance) tasks(f func(dir string) error) error {
	dirs, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*", i.pid))
	for _, dir := range dirs {
		if err == nil {
			err = f(dir)
		}
	}
	return err
}

// cpu returns the time on a CPU of all threads, to the nanosecond (schedstat).
func (i *instance) cpu() (total int64, err error) {
	err = i.tasks(func(dir string) error {
		data, err := os.ReadFile(dir + "/schedstat")
		if err != nil {
			return err
		}
		ns, err := strconv.ParseInt(strings.Fields(string(data))[0], 10, 64)
		total += ns
		return err
	})
	return total, err
}

// switches returns the context switches of all threads, of both kinds.
func (i *instance) switches() (total int64, err error) {
	err = i.tasks(func(dir string) error {
		return sumLines(dir+"/status", func(key string, value int64) {
			if strings.HasSuffix(key, "voluntary_ctxt_switches") { // nonvoluntary too
				total += value
			}
		})
	})
	return total, err
}

// memory is PID 1's resident, proportional and private memory, in KiB.
type memory struct{ rss, pss, private int64 }

func (i *instance) memory() (m memory, err error) {
	err = sumLines(fmt.Sprintf("/proc/%d/smaps_rollup", i.pid), func(key string, value int64) {
		switch key {
		case "Rss":
			m.rss += value
		case "Pss":
			m.pss += value
		case "Private_Clean", "Private_Dirty":
			m.private += value
		}
	})
	return m, err
}

// sumLines calls f with every line "Key: NUMBER ..." of a file in /proc.
func sumLines(name string, f func(key string, value int64)) error {
	data, err := os.ReadFile(name)
	if err != nil {
		return err
	}
	for line := range strings.Lines(string(data)) {
		key, rest, _ := strings.Cut(line, ":")
		if fields := strings.Fields(rest); len(fields) > 0 {
			if n, err := strconv.ParseInt(fields[0], 10, 64); err == nil {
				f(key, n)
			}
		}
	}
	return nil
}
