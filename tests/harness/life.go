// SPDX-License-Identifier: Apache-2.0

package harness

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
)

// life caches the first process of a container, so that the engine is asked once
// for each process and not for each look.
type life struct {
	mu    sync.Mutex
	host  int    // 0 if not known
	began string // its start time, which tells it from a later process with its pid
}

// pid returns the host's pid, 0 if the process has exited or is not known.
func (l *life) pid() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.host == 0 {
		return 0
	}
	if state, began := stateOf(l.host); began != l.began || state == "Z" {
		l.host = 0
	}
	return l.host
}

func (l *life) set(pid int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	_, began := stateOf(pid)
	if began != "" {
		l.host, l.began = pid, began
	}
}

// stateOf returns the state and the start time of a process (proc_pid_stat(5)).
// Both are empty if there is no such process.
func stateOf(pid int) (state, began string) {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return "", ""
	}
	fields := strings.Fields(string(data[bytes.LastIndexByte(data, ')')+1:]))
	if len(fields) < 20 {
		return "", ""
	}
	return fields[0], fields[19]
}

func (c *Container) hostPID() (int, error) {
	if pid := c.life.pid(); pid != 0 {
		return pid, nil
	}
	var state containerState
	if err := c.inspect(&state); err != nil {
		return 0, err
	}
	if state.State.Pid == 0 {
		return 0, errors.New("the container is not running")
	}
	c.life.set(state.State.Pid)
	return state.State.Pid, nil
}
