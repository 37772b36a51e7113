// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/binary"
	"errors"

	"golang.org/x/sys/unix"

	"github.com/gateway-init/gateway-init/supervisor/control"
)

// task is the kernel's record of a fork or of an exit.
type task struct {
	exit        bool
	pid, parent int32 // of the new process, or of the one that exits; of a fork's caller
	at          int64
}

// worker asks PID 1 for a proof. It returns the time of its worker, from the fork to
// the exit of its last thread, as the kernel records them. Only forks and exits are
// recorded, of all processes, so nothing is added to what the worker does.
func (x *box) worker() (int64, error) {
	tasks, err := x.prove()
	if err != nil {
		return 0, err
	}
	return lifetime(tasks, int32(x.pid))
}

// prove asks PID 1 for a proof. It returns all forks and exits meanwhile.
func (x *box) prove() (tasks []task, err error) {
	r := recorder{}
	defer r.close()
	const name = "forks and exits"
	err = r.open(name, unix.PerfEventAttr{Type: unix.PERF_TYPE_SOFTWARE, Config: unix.PERF_COUNT_SW_DUMMY,
		Clockid: unix.CLOCK_MONOTONIC, Bits: unix.PerfBitTask | unix.PerfBitUseClockID}, -1, 64)
	if err != nil {
		return nil, err
	}
	nonce, _, err := x.send(control.Probe)
	if err != nil {
		return nil, err
	}
	if _, err := x.reply(nonce); err != nil {
		return nil, err
	}
	err = r.each(name, func(kind uint32, body []byte) {
		if t, ok := parseTask(kind, body); ok {
			tasks = append(tasks, t)
		}
	})
	return tasks, err
}

// parseTask returns the fork or the exit of a record, if it is one.
func parseTask(kind uint32, body []byte) (t task, ok bool) {
	if kind != unix.PERF_RECORD_FORK && kind != unix.PERF_RECORD_EXIT || len(body) < 24 {
		return t, false
	}
	number := binary.NativeEndian.Uint32
	return task{kind == unix.PERF_RECORD_EXIT, int32(number(body)), int32(number(body[4:])), int64(binary.NativeEndian.Uint64(body[16:]))}, true
}

// lifetime returns the time from the first fork of a process by parent to the last
// exit of that process's threads.
func lifetime(tasks []task, parent int32) (int64, error) {
	var worker task
	for _, t := range tasks {
		if !t.exit && t.parent == parent && t.pid != parent && (worker.at == 0 || t.at < worker.at) {
			worker = t
		}
	}
	last := int64(0)
	for _, t := range tasks {
		if t.exit && t.pid == worker.pid {
			last = max(last, t.at)
		}
	}
	if worker.at == 0 || last <= worker.at {
		return 0, errors.New("PID 1 proved without a worker")
	}
	return last - worker.at, nil
}
