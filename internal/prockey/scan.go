package prockey

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"

	"gatewayinit/internal/fsafe"
)

// perRead is how many names of a directory are read at a time.
const perRead = 512

// maxChildList bounds the kernel's list of one thread's children.
const maxChildList = 1 << 20

// Children lists the children of pid, whichever of its threads started them
// (/proc/PID/task/TID/children, CONFIG_PROC_CHILDREN). The list may lack some if
// one ends while it is made (proc(5)): that somebody is not in it proves
// nothing. More than limit is an error.
func Children(pid, limit int) (pids []int, err error) {
	p, err := Open(pid)
	if err != nil {
		return nil, err
	}
	defer p.Close()
	tasks, err := fsafe.OpenDirAt(p.dir, "task")
	if err != nil {
		return nil, whether(err)
	}
	defer tasks.Close()
	seen := map[int]bool{}
	err = eachNumber(tasks, limit, func(tid int) error {
		text, err := childList(tasks, tid)
		if errors.Is(err, ErrGone) {
			return nil // a thread that has ended has no children any more
		}
		if err != nil {
			return err
		}
		for word := range strings.FieldsSeq(string(text)) {
			child, err := strconv.Atoi(word)
			if err != nil {
				return fmt.Errorf("%w the list of children", errForm)
			}
			if !seen[child] {
				seen[child] = true
				pids = append(pids, child)
			}
			if len(pids) > limit {
				return fmt.Errorf("%w: process %d has more than %d children", errBound, pid, limit)
			}
		}
		return nil
	})
	return pids, err
}

func childList(tasks *os.File, tid int) ([]byte, error) {
	task, err := fsafe.OpenDirAt(tasks, strconv.Itoa(tid))
	if err != nil {
		return nil, whether(err)
	}
	defer task.Close()
	f, err := fsafe.OpenAt(task, "children", os.O_RDONLY)
	if err != nil {
		return nil, whether(err)
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxChildList))
	return text, whether(err)
}

// Scan calls f with every process that is there during the whole call, and maybe
// with some that were not. More than limit is an error, as is f's first.
func Scan(limit int, f func(pid int) error) error {
	root, err := openRoot()
	if err != nil {
		return err
	}
	defer root.Close()
	return eachNumber(root, limit, f)
}

// eachNumber calls f with the numbers among a directory's names.
func eachNumber(dir *os.File, limit int, f func(n int) error) error {
	for seen := 0; ; {
		names, err := dir.Readdirnames(perRead)
		for _, name := range names {
			n, err := strconv.ParseUint(name, 10, 31)
			if err != nil {
				continue
			}
			if seen++; seen > limit {
				return fmt.Errorf("%w: %s has more than %d", errBound, dir.Name(), limit)
			}
			if err := f(int(n)); err != nil {
				return err
			}
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return whether(err)
		}
	}
}
