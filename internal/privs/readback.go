// SPDX-License-Identifier: Apache-2.0

package privs

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"strconv"
	"syscall"

	"github.com/gateway-init/gateway-init/internal/sys"
)

// State is the kernel's record of all threads of this process. It holds the union of
// each set, and whether every thread has no_new_privs.
type State struct {
	Inheritable, Permitted, Effective, Bounding, Ambient uint64

	NoNewPrivs bool
	Dumpable   bool
	Threads    int
}

// Read reads /proc/self/task/*/status. A thread that ended meanwhile is skipped. A
// thread that cannot be read, or no thread at all, is an error, because it does not
// show that no privilege is left.
func Read() (State, error) {
	s := State{NoNewPrivs: true}
	tids, err := sys.ReadNames("/proc/self/task")
	if err != nil {
		return s, err
	}
	for _, tid := range tids {
		data, err := sys.ReadFile("/proc/self/task/" + tid + "/status")
		if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ESRCH) {
			continue
		}
		if err == nil {
			err = s.add(data)
		}
		if err != nil {
			return s, fmt.Errorf("cannot read capabilities of thread %s: %w", tid, err)
		}
	}
	if s.Threads == 0 {
		return s, errors.New("cannot read capabilities: /proc/self/task lists no thread")
	}
	s.Dumpable, err = sys.Dumpable()
	return s, err
}

// ReadOwn reads the State of the calling thread alone. That is the state of all
// threads as long as this process has changed none, because a new thread inherits it.
func ReadOwn() (State, error) {
	s := State{NoNewPrivs: true}
	data, err := sys.ReadFile("/proc/thread-self/status")
	if err == nil {
		err = s.add(data)
	}
	if err != nil {
		return s, fmt.Errorf("cannot read capabilities: %w", err)
	}
	s.Dumpable, err = sys.Dumpable()
	return s, err
}

// add adds one thread's status file to the union.
func (s *State) add(data []byte) error {
	for _, f := range []struct {
		key string
		set *uint64
	}{
		{"CapInh:\t", &s.Inheritable}, {"CapPrm:\t", &s.Permitted}, {"CapEff:\t", &s.Effective},
		{"CapBnd:\t", &s.Bounding}, {"CapAmb:\t", &s.Ambient},
	} {
		text, ok := field(data, f.key)
		v, err := strconv.ParseUint(text, 16, 64)
		if !ok || err != nil {
			return fmt.Errorf("no field %q", f.key)
		}
		*f.set |= v
	}
	text, ok := field(data, "NoNewPrivs:\t")
	s.NoNewPrivs = s.NoNewPrivs && ok && text == "1"
	s.Threads++
	return nil
}

// field returns the rest of the line that starts with key.
func field(data []byte, key string) (string, bool) {
	i := bytes.Index(data, []byte("\n"+key))
	if i < 0 {
		return "", false
	}
	rest := data[i+1+len(key):]
	if end := bytes.IndexByte(rest, '\n'); end >= 0 {
		rest = rest[:end]
	}
	return string(rest), true
}

// Excess returns the privileges that are left beyond the goal, after Drop.
func (s State) Excess() (missing []Missing) {
	for _, set := range []struct {
		name string
		bits uint64
	}{
		{"permitted-set", s.Permitted &^ Needed}, {"effective-set", s.Effective &^ Needed},
		{"inheritable-set", s.Inheritable}, {"ambient-set", s.Ambient}, {"bounding-set", s.Bounding},
	} {
		if set.bits != 0 {
			missing = append(missing, Missing{set.name, fmt.Sprintf("still holds %016x on some thread", set.bits)})
		}
	}
	if !s.NoNewPrivs {
		missing = append(missing, Missing{"no-new-privs", "not set on some thread"})
	}
	if s.Dumpable {
		missing = append(missing, Missing{"dumpable", "PID 1 can be traced and can leave a core file"})
	}
	return missing
}
