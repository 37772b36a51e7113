// SPDX-License-Identifier: Apache-2.0

package procfs

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
)

// errNoList means that the kernel keeps no list of children (CONFIG_PROC_CHILDREN),
// or that a thread ended while its list was read and its children are another
// thread's now.
var errNoList = errors.New("no list of children")

// maxThreads bounds the threads of one process. perName is the number of bytes that
// one child takes in the kernel's list, because a pid has at most seven digits.
const (
	maxThreads = 1 << 16
	perName    = 8
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
	err = eachIn(dir, maxThreads, func(tid int) error {
		text, err := readList(dir+"/"+strconv.Itoa(tid)+"/children", perName*limit)
		if IsGone(err) {
			missing = true
			return nil
		}
		if err != nil {
			return err
		}
		for word := range bytes.FieldsSeq(text) {
			var child int
			if !parseCount(word, 1, &child) {
				return fmt.Errorf("cannot parse the list of process %d's children", pid)
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
	return pids, whyUnseen(pid, err)
}

// scanChildren looks through all of /proc. It leaves out the processes that hidepid
// hides. Such a process belongs to another user, or it is ours and cannot be
// traced.
func scanChildren(pid, limit int) (pids []int, err error) {
	err = EachStat(func(child int, st Stat, err error) error {
		switch {
		case IsGone(err), errors.Is(err, ErrHidden):
			return nil
		case err != nil:
			return err
		case st.PPID == pid:
			pids = append(pids, child)
		}
		if len(pids) > limit {
			return fmt.Errorf("process %d has more than %d children", pid, limit)
		}
		return nil
	})
	return pids, err
}

// readList returns a list of children. It reads a little more than max bytes, so
// that the caller sees a list that is too long.
func readList(unsafePath string, max int) ([]byte, error) {
	f, err := os.Open(unsafePath)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, int64(max+2*perName)))
}
