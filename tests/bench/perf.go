// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync/atomic"
	"unsafe"

	"golang.org/x/sys/unix"
)

// event is something that the kernel counts.
type event struct {
	kind uint32
	id   uint64
}

// Software events. Tracepoints get their number from tracepoint.
var (
	pageFault     = event{unix.PERF_TYPE_SOFTWARE, unix.PERF_COUNT_SW_PAGE_FAULTS}
	contextSwitch = event{unix.PERF_TYPE_SOFTWARE, unix.PERF_COUNT_SW_CONTEXT_SWITCHES}
)

// tracepoint returns the event of a tracepoint, from a tracefs that is mounted
// nowhere.
func tracepoint(name string) (event, error) {
	fs, err := unix.Fsopen("tracefs", unix.FSOPEN_CLOEXEC)
	if err != nil {
		return event{}, fmt.Errorf("cannot open tracefs: %w", err)
	}
	defer unix.Close(fs)
	if err := unix.FsconfigCreate(fs); err != nil {
		return event{}, fmt.Errorf("cannot create tracefs: %w", err)
	}
	dir, err := unix.Fsmount(fs, unix.FSMOUNT_CLOEXEC, 0)
	if err != nil {
		return event{}, fmt.Errorf("cannot mount tracefs: %w", err)
	}
	defer unix.Close(dir)
	data, err := os.ReadFile(fmt.Sprintf("/proc/self/fd/%d/events/%s/id", dir, name))
	if err != nil {
		return event{}, fmt.Errorf("cannot read the tracepoint: %w", err)
	}
	id, err := strconv.ParseUint(strings.TrimSpace(string(data)), 10, 64)
	return event{unix.PERF_TYPE_TRACEPOINT, id}, err
}

// ring has the time of each event of a thread, and of all that it starts, on one CPU.
type ring struct {
	fd  int
	mem []byte
}

// recorder has the rings of all CPUs, by the name of the event.
type recorder map[string][]ring

// record starts to record an event of a thread. With onExec it begins at the thread's
// next execve. pages is the size of each ring, a power of two.
func (r recorder) record(name string, e event, tid, pages int, onExec bool) error {
	attr := unix.PerfEventAttr{Type: e.kind, Config: e.id, Sample: 1, Sample_type: unix.PERF_SAMPLE_TIME, Clockid: unix.CLOCK_MONOTONIC,
		Bits: unix.PerfBitInherit | unix.PerfBitUseClockID}
	if onExec {
		attr.Bits |= unix.PerfBitDisabled | unix.PerfBitEnableOnExec
	}
	return r.open(name, attr, tid, pages)
}

// open opens the rings of an event, one for each CPU. The thread -1 stands for all
// threads of the machine.
func (r recorder) open(name string, attr unix.PerfEventAttr, tid, pages int) error {
	attr.Size = uint32(unsafe.Sizeof(attr))
	for cpu := range runtime.NumCPU() {
		fd, err := unix.PerfEventOpen(&attr, tid, cpu, -1, unix.PERF_FLAG_FD_CLOEXEC)
		if err != nil {
			return fmt.Errorf("cannot count %s: %w", name, err)
		}
		mem, err := unix.Mmap(fd, 0, (1+pages)*os.Getpagesize(), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
		if err != nil {
			unix.Close(fd)
			return fmt.Errorf("cannot map the ring of %s: %w", name, err)
		}
		r[name] = append(r[name], ring{fd, mem})
	}
	return nil
}

// times returns the time of each event so far, in no order.
func (r recorder) times(name string) (all sample, err error) {
	err = r.each(name, func(kind uint32, body []byte) {
		if kind == unix.PERF_RECORD_SAMPLE {
			all = append(all, int64(binary.NativeEndian.Uint64(body)))
		}
	})
	return all, err
}

// each calls f with each record so far of an event's rings.
func (r recorder) each(name string, f func(kind uint32, body []byte)) error {
	for _, one := range r[name] {
		head := atomic.LoadUint64(&(*unix.PerfEventMmapPage)(unsafe.Pointer(&one.mem[0])).Data_head)
		if err := eachRecord(one.mem[os.Getpagesize():], head, f); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	return nil
}

func (r recorder) close() {
	for _, rings := range r {
		for _, one := range rings {
			unix.Munmap(one.mem)
			unix.Close(one.fd)
		}
	}
}

// Sizes of records: each has a header of 8 bytes, and a body of at least 8. No record
// is larger than largestRecord.
const (
	headerSize    = 8
	largestRecord = 64
)

// eachRecord calls f with each record of a ring that was never read. The kernel drops
// events when the ring is full.
func eachRecord(data []byte, head uint64, f func(kind uint32, body []byte)) error {
	if head+largestRecord > uint64(len(data)) {
		return errors.New("there were too many events for the ring")
	}
	for data = data[:head]; len(data) > 0; {
		if len(data) < 2*headerSize {
			return errors.New("cannot parse the ring")
		}
		kind, size := binary.NativeEndian.Uint32(data), int(binary.NativeEndian.Uint16(data[6:]))
		if size < 2*headerSize || size > len(data) {
			return errors.New("cannot parse the ring")
		}
		if kind == unix.PERF_RECORD_LOST || kind == unix.PERF_RECORD_THROTTLE {
			return errors.New("the kernel dropped events")
		}
		f(kind, data[headerSize:size])
		data = data[size:]
	}
	return nil
}

// until returns how many times are not after the last one.
func (s sample) until(last int64) (n int64) {
	for _, at := range s {
		if at <= last {
			n++
		}
	}
	return n
}
