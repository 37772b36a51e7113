// SPDX-License-Identifier: Apache-2.0

package procfs

import (
	"fmt"
	"slices"
)

// Snapshot identifies a process and holds the data that the kernel shows of it.
type Snapshot struct {
	PID     int
	Start   uint64 // since boot, in clock ticks
	Session int
	Status
	PIDNS  uint64 // inode of its PID namespace; 0: cannot be seen
	ExeDev uint64 // of the program's file; 0 with ExeIno 0: cannot be seen
	ExeIno uint64
	Dev    uint64 // of its directory in procfs
	Ino    uint64
	Comm   string   // the process can choose it
	Argv   []string // the process can change it; empty if it has no memory any more
}

// ID returns the identity of the process.
func (s Snapshot) ID() ID { return ID{s.PID, s.Start} }

// field is a comparison of one field of two snapshots.
type field struct {
	name string
	same bool
}

// firstChange returns ErrChanged with the first field that differs, or nil.
func firstChange(fields ...field) error {
	for _, f := range fields {
		if !f.same {
			return fmt.Errorf("%w: its %s", ErrChanged, f.name)
		}
	}
	return nil
}

// compareStable compares the fields that stay the same as long as a process executes
// one program for one user.
func (s Snapshot) compareStable(o Snapshot) error {
	return firstChange(
		field{"directory in /proc", s.Dev == o.Dev && s.Ino == o.Ino},
		field{"pid", s.PID == o.PID},
		field{"start time", s.Start == o.Start},
		field{"parent", s.PPID == o.PPID},
		field{"session", s.Session == o.Session},
		field{"uids", s.UIDs == o.UIDs},
		field{"gids", s.GIDs == o.GIDs},
		field{"pids in namespaces", slices.Equal(s.NSpid, o.NSpid)},
		field{"PID namespace", s.PIDNS == o.PIDNS},
		field{"program", s.ExeDev == o.ExeDev && s.ExeIno == o.ExeIno},
	)
}

// compareVolatile compares the other fields, which a process may change at any time.
func (s Snapshot) compareVolatile(o Snapshot) error {
	return firstChange(
		field{"name", s.Comm == o.Comm},
		field{"arguments", slices.Equal(s.Argv, o.Argv)},
		field{"state", s.State == o.State},
		field{"number of threads", s.Threads == o.Threads},
	)
}
