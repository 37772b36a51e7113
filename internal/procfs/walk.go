// SPDX-License-Identifier: Apache-2.0

package procfs

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strconv"
)

// perRead is the number of names that are read at a time, so that memory does not
// grow with a directory. maxProcesses bounds a look at all stat lines.
const (
	perRead      = 256
	maxProcesses = 1 << 22 // PID_MAX_LIMIT
)

// EachStat calls f with every process that is there during the whole call, and maybe with
// some that were not, each with its stat line or the error of ReadStat. It stops at f's
// first error. All lines are read into one buffer, because PID 1 must not collect garbage
// while it forks. So it does not check either that /proc is procfs.
func EachStat(f func(pid int, st Stat, err error) error) error {
	buf := make([]byte, statSize)
	return eachIn("/proc", maxProcesses, func(pid int) error {
		st, err := readStat(pid, buf)
		return f(pid, st, err)
	})
}

// EachFile calls f with the kernel's name of each file that pid has open, such as
// socket:[4711]. The name is empty if the file was closed meanwhile. More than limit
// files are an error. The kernel may refuse the list of a process that /proc shows, for
// example if its user cannot read its program (ptrace(2), access mode checking).
func EachFile(pid, limit int, f func(name string) error) error {
	dir := "/proc/" + strconv.Itoa(pid) + "/fd"
	err := eachIn(dir, limit, func(fd int) error {
		name, _ := os.Readlink(dir + "/" + strconv.Itoa(fd))
		return f(name)
	})
	if errors.Is(err, fs.ErrPermission) {
		if _, hidden := ReadStat(pid); hidden == nil {
			return err
		}
	}
	return whyUnseen(pid, err)
}

// eachIn is eachNumber for a path.
func eachIn(path string, limit int, f func(n int) error) error {
	dir, err := os.Open(path)
	if err != nil {
		return err
	}
	defer dir.Close()
	return eachNumber(dir, limit, f)
}

// eachNumber calls f with the names in dir that are numbers, until f returns an
// error. More than limit numbers are an error.
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
			return markGone(err)
		}
	}
}
