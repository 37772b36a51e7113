// SPDX-License-Identifier: Apache-2.0

// Package confine has the Landlock rule of "gateway.confine". A process with the rule, and
// each process that it starts, can open no file of another process in /proc for reading.
// So the environment of a child stays closed to its parent's file tools, although both have
// one user. The kernel also lets such a process trace only processes with the same rule.
//
// The rule allows reading by files and directories, not by paths. Procfs makes a new inode
// for a name that it has forgotten, which happens when memory is short. The rule does not
// hold for that inode, so the process could no longer read even its own files. So PID 1
// keeps each file and directory of /proc open that the rule names (Hold, HoldProcess).
package confine

import (
	"errors"
	"os"
	"strconv"
	"syscall"

	"github.com/gateway-init/gateway-init/internal/sys"
)

// handled holds the rights that the rule takes away where it does not allow them. A kernel
// refuses each rename from one directory to another (EXDEV) if a rule does not allow that.
const handled = sys.LandlockReadFile | sys.LandlockRefer

// stayOpen names the files of /proc that the rule allows besides the process's own. They
// say nothing of one process. Node reads most of them, for memory, processors and load.
func stayOpen() []string {
	return []string{"meminfo", "cpuinfo", "stat", "uptime", "loadavg", "version", "filesystems", "sys"}
}

// Restrict puts the rule into force for the calling thread and all that it starts. The
// caller executes the target on that thread, and keeps its pid. PID 1 holds the directory
// of the caller (HoldProcess).
func Restrict() error {
	ruleset, err := makeRuleset()
	if err != nil {
		return err
	}
	defer sys.Close(ruleset)
	return sys.LandlockRestrict(ruleset)
}

// makeRuleset returns the rule for the calling process. It allows reading below each entry
// of / but /proc, because Landlock cannot take a right away below a place that has it. An
// entry that is made later stays closed until the next launch. The caller owns the
// descriptor.
func makeRuleset() (ruleset int, err error) {
	ruleset, err = sys.LandlockRuleset(handled)
	if err != nil {
		return -1, err
	}
	defer func() {
		if err != nil {
			sys.Close(ruleset)
		}
	}()
	if err := sys.LandlockAllow(ruleset, "/", sys.LandlockRefer); err != nil {
		return -1, err
	}
	names, err := sys.ReadNames("/")
	if err != nil {
		return -1, err
	}
	for _, name := range names {
		if name == "proc" {
			continue
		}
		if err := allowReading(ruleset, "/"+name); err != nil {
			return -1, err
		}
	}
	for _, name := range stayOpen() {
		if err := allowReading(ruleset, "/proc/"+name); err != nil {
			return -1, err
		}
	}
	return ruleset, sys.LandlockAllow(ruleset, processDir(os.Getpid()), sys.LandlockReadFile)
}

// allowReading allows reading at path. A path that cannot be opened stays closed, because
// it is gone or its mount is broken. Only a shortage is an error, so that it does not close
// a path that exists.
func allowReading(ruleset int, path string) error {
	err := sys.LandlockAllow(ruleset, path, sys.LandlockReadFile)
	if pathErr := (*os.PathError)(nil); !errors.As(err, &pathErr) {
		return err
	}
	for _, shortage := range []error{syscall.EMFILE, syscall.ENFILE, syscall.ENOMEM} {
		if errors.Is(err, shortage) {
			return err
		}
	}
	return nil
}

func processDir(pid int) string { return "/proc/" + strconv.Itoa(pid) }

// HoldProcess opens the directory of a process in /proc, and so keeps its inode. The caller
// owns the descriptor, and closes it when it has reaped the process.
func HoldProcess(pid int) (fd int, err error) { return sys.HoldPath(processDir(pid)) }

// Hold opens the files of /proc that the rule allows, and so keeps their inodes for as long
// as this process lives. A file that this kernel does not have is left out.
func Hold() error {
	for _, name := range stayOpen() {
		_, err := sys.HoldPath("/proc/" + name)
		if err != nil && !errors.Is(err, syscall.ENOENT) {
			return err
		}
	}
	return nil
}
