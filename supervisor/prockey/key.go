// Package prockey tells who a process is, from /proc and by descriptor, for a
// caller that must not be led to a stranger by pids that are used again, by
// names that a process gives itself, or by somebody who makes processes come and
// go while it looks.
//
// Everything about one process is read through one held descriptor of its
// /proc/PID: when the process has ended that descriptor answers nothing any
// more, whoever has its pid then (proc(5); the inode is the task's).
package prockey

import (
	"errors"
	"fmt"
	"slices"
)

// What a process turned out to be.
var (
	ErrGone    = errors.New("the process is gone")
	ErrChanged = errors.New("the process is not the same")
	// ErrNoPidfd: the kernel (before 5.10) or a seccomp profile has no pidfd.
	// There is no other safe way to signal who is not our child.
	ErrNoPidfd = errors.New("no pidfd can be had")
	errProc    = errors.New("/proc is not procfs")
	errForm    = errors.New("cannot parse")
	errBound   = errors.New("too many processes")
)

// State is what a process does, as far as it matters: whether it runs or sleeps
// differs between any two looks.
type State byte

// The states.
const (
	Running State = 'R' // or sleeping, or in the kernel
	Stopped State = 'T' // by a signal or by a tracer
	Zombie  State = 'Z' // dead, or its first thread is and others live on
)

// Key names a process and says what the kernel shows of it.
type Key struct {
	PID     int
	Start   uint64 // since boot, in clock ticks
	PPID    int
	Session int
	UIDs    [4]uint32 // real, effective, saved, file system
	GIDs    [4]uint32
	NSpid   []int  // its pids from our PID namespace inwards
	PIDNS   uint64 // inode of its PID namespace; 0: not to be seen
	ExeDev  uint64 // of the program's file; 0 with ExeIno 0: not to be seen
	ExeIno  uint64
	Dev     uint64 // of its directory in procfs
	Ino     uint64
	Comm    string   // its own to choose
	Argv    []string // its own to change; none of one that has no memory any more
	State   State
	Threads int
}

// Dead tells whether nothing of it runs any more. A zombie whose other threads
// live on (its first thread called exit(2) alone) is not dead.
func (k Key) Dead() bool { return k.State == Zombie && k.Threads <= 1 }

// Headless tells whether it is such a one: it has no arguments and no program
// to be seen.
func (k Key) Headless() bool { return k.State == Zombie && k.Threads > 1 }

// identity compares what stays the same as long as a process executes one
// program for one user; the error names what does not.
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

// passing compares the rest, which a process may change at any time.
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
