// SPDX-License-Identifier: Apache-2.0

// Package procfs identifies a process, from /proc and by descriptor. Its callers
// must not be led to the wrong process by pids that are used again, by names that a
// process gives itself, or by a user that makes processes come and go meanwhile.
//
// Everything about one process is read through one held descriptor of its
// /proc/PID. When the process has ended, that descriptor answers nothing any more,
// even if another process has its pid then (proc(5); the inode is the task's).
package procfs

import (
	"errors"
	"fmt"
	"slices"
)

// Errors about a process.
var (
	ErrGone    = errors.New("the process is gone")
	ErrChanged = errors.New("the process is not the same")
	// ErrNoPidfd means that the kernel (before 5.10) or a seccomp profile has no
	// pidfd. There is no other safe way to signal a process that is not our child.
	ErrNoPidfd = errors.New("no pidfd can be had")
	errProc    = errors.New("/proc is not procfs")
	errForm    = errors.New("cannot parse")
	errBound   = errors.New("too many processes")
)

// State is the state of a process, as far as it matters. It does not say whether
// the process runs or sleeps, because that differs between any two looks.
type State byte

// The states.
const (
	Running State = 'R' // or sleeping, or in the kernel
	Stopped State = 'T' // by a signal or by a tracer
	Zombie  State = 'Z' // dead, or only its first thread is dead
)

// Key identifies a process and holds the data that the kernel shows of it.
type Key struct {
	PID     int
	Start   uint64 // since boot, in clock ticks
	PPID    int
	Session int
	UIDs    [4]uint32 // real, effective, saved, file system
	GIDs    [4]uint32
	NSpid   []int  // its pids, from our PID namespace inward
	PIDNS   uint64 // inode of its PID namespace; 0: cannot be seen
	ExeDev  uint64 // of the program's file; 0 with ExeIno 0: cannot be seen
	ExeIno  uint64
	Dev     uint64 // of its directory in procfs
	Ino     uint64
	Comm    string   // the process can choose it
	Argv    []string // the process can change it; empty if it has no memory any more
	State   State
	Threads int
}

// Dead reports whether nothing of the process runs any more. A zombie whose other
// threads live on (its first thread called exit(2) alone) is not dead.
func (k Key) Dead() bool { return k.State == Zombie && k.Threads <= 1 }

// Headless reports whether k is a zombie whose other threads live on. Such a
// process shows no arguments and no program.
func (k Key) Headless() bool { return k.State == Zombie && k.Threads > 1 }

// identity compares the fields that stay the same as long as a process executes one
// program for one user. The error names the field that differs.
func (k Key) identity(o Key) error {
	for _, f := range []struct {
		name string
		same bool
	}{
		{"directory in /proc", k.Dev == o.Dev && k.Ino == o.Ino},
		{"pid", k.PID == o.PID},
		{"start time", k.Start == o.Start},
		{"parent", k.PPID == o.PPID},
		{"session", k.Session == o.Session},
		{"uids", k.UIDs == o.UIDs},
		{"gids", k.GIDs == o.GIDs},
		{"pids in namespaces", slices.Equal(k.NSpid, o.NSpid)},
		{"PID namespace", k.PIDNS == o.PIDNS},
		{"program", k.ExeDev == o.ExeDev && k.ExeIno == o.ExeIno},
	} {
		if !f.same {
			return fmt.Errorf("%w: its %s", ErrChanged, f.name)
		}
	}
	return nil
}

// passing compares the other fields, which a process may change at any time.
func (k Key) passing(o Key) error {
	for _, f := range []struct {
		name string
		same bool
	}{
		{"name", k.Comm == o.Comm},
		{"arguments", slices.Equal(k.Argv, o.Argv)},
		{"state", k.State == o.State},
		{"number of threads", k.Threads == o.Threads},
	} {
		if !f.same {
			return fmt.Errorf("%w: its %s", ErrChanged, f.name)
		}
	}
	return nil
}
