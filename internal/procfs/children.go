// SPDX-License-Identifier: Apache-2.0

package procfs

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strconv"
	"strings"
	"syscall"
)

// errNoList means that the kernel keeps no list of children (CONFIG_PROC_CHILDREN),
// or that a thread ended while its list was read and its children are another
// thread's now.
var errNoList = errors.New("no list of children")

// maxThreads bounds the threads of one process, and maxProcesses a scan of all
// processes. perName is the number of bytes that one child takes in the kernel's
// list, because a pid has at most seven digits.
const (
	maxThreads   = 1 << 16
	maxProcesses = 1 << 22 // PID_MAX_LIMIT
	perName      = 8
)

// Children lists the children of pid, zombies included. The kernel keeps a list for
// each thread (/proc/PID/task/TID/children). A forked child is in the list of the
// thread that forked it, and an orphan is in that of the main thread. A list may
// lack some children if one is reaped meanwhile (proc(5)). Only pid itself reaps
// them. Without a list, Children asks all processes for their parent. More than
// limit children are an error.
func Children(pid, limit int) (pids []int, err error) {
	pids, err = listChildren(pid, limit)
	if err == errNoList {
		pids, err = listChildren(pid, limit) // usually a thread has ended
	}
	if err == errNoList {
		pids, err = scanChildren(pid, limit)
	}
	return pids, err
}

func listChildren(pid, limit int) (pids []int, err error) {
	dir := "/proc/" + strconv.Itoa(pid) + "/task"
	missing := false
	err = EachName(dir, maxThreads, func(tid string) error {
		text, err := childList(dir+"/"+tid+"/children", perName*limit)
		if IsGone(err) {
			missing = true
			return nil
		}
		if err != nil {
			return err
		}
		for word := range strings.FieldsSeq(text) {
			child, err := strconv.Atoi(word)
			if err != nil {
				return fmt.Errorf("cannot parse the list of process %d's children: %w", pid, err)
			}
			if pids = append(pids, child); len(pids) > limit {
				return fmt.Errorf("process %d has more than %d children", pid, limit)
			}
		}
		return nil
	})
	if err == nil && missing {
		return nil, errNoList
	}
	return pids, err
}

// scanChildren looks through all of /proc. It leaves out the processes that hidepid
// hides. Such a process belongs to another user, or it is ours and cannot be
// traced.
func scanChildren(pid, limit int) (pids []int, err error) {
	err = EachName("/proc", maxProcesses, func(name string) error {
		n, err := strconv.Atoi(name)
		if err != nil {
			return nil
		}
		st, err := ReadStat(n)
		switch {
		case IsGone(err), errors.Is(err, fs.ErrPermission):
			return nil
		case err != nil:
			return err
		case st.PPID == pid:
			pids = append(pids, n)
		}
		if len(pids) > limit {
			return fmt.Errorf("process %d has more than %d children", pid, limit)
		}
		return nil
	})
	return pids, err
}

// childList returns a list of children. It reads a little more than max bytes, so
// that the caller sees a list that is too long.
func childList(unsafePath string, max int) (string, error) {
	f, err := os.Open(unsafePath)
	if err != nil {
		return "", err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, int64(max+2*perName)))
	return string(text), err
}

// IsGone reports whether err is the kernel's answer about a process or thread that
// has ended.
func IsGone(err error) bool {
	return errors.Is(err, ErrGone) || errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ESRCH)
}

// EachName calls f with the names in a directory, until f returns an error. It
// reads some names at a time. More than limit names are an error.
func EachName(dir string, limit int, f func(name string) error) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	for seen := 0; ; {
		names, err := d.Readdirnames(perRead)
		for _, name := range names {
			if err := f(name); err != nil {
				return err
			}
		}
		if seen += len(names); seen > limit {
			return fmt.Errorf("%s has more than %d entries", dir, limit)
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
	}
}
