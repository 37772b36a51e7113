// SPDX-License-Identifier: Apache-2.0

package privs

import (
	"errors"
	"io/fs"
	"os"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/gateway-init/gateway-init/internal/sys"
	"github.com/gateway-init/gateway-init/internal/testenv"
)

// lines is a status file without privileges, as the kernel writes it.
const lines = "Name:\tinit\nState:\tS (sleeping)\nCapInh:\t0000000000000000\nCapPrm:\t00000000000000e1\nCapEff:\t00000000000000e1\n" +
	"CapBnd:\t0000000000000000\nCapAmb:\t0000000000000000\nNoNewPrivs:\t1\nSeccomp:\t0\n"

// TestAdd checks the union over all threads. A line that is not there is an error,
// never an empty set.
func TestAdd(t *testing.T) {
	good := State{Permitted: Needed, Effective: Needed, NoNewPrivs: true, Threads: 1}
	for name, c := range map[string]struct {
		old, new string
		want     State
		bad      bool
	}{
		"as-it-is":            {"", "", good, false},
		"bounding":            {"CapBnd:\t0000000000000000", "CapBnd:\t000001ffffffffff", State{Permitted: Needed, Effective: Needed, Bounding: 0x1ffffffffff, NoNewPrivs: true, Threads: 1}, false},
		"all-64-bits":         {"CapAmb:\t0000000000000000", "CapAmb:\tffffffffffffffff", State{Permitted: Needed, Effective: Needed, Ambient: 1<<64 - 1, NoNewPrivs: true, Threads: 1}, false},
		"new-privs":           {"NoNewPrivs:\t1", "NoNewPrivs:\t0", State{Permitted: Needed, Effective: Needed, Threads: 1}, false},
		"no-no-new-privs":     {"NoNewPrivs:\t1\n", "", State{Permitted: Needed, Effective: Needed, Threads: 1}, false},
		"no-new-privs-11":     {"NoNewPrivs:\t1", "NoNewPrivs:\t11", State{Permitted: Needed, Effective: Needed, Threads: 1}, false},
		"no-effective":        {"CapEff:\t00000000000000e1\n", "", State{}, true},
		"no-ambient":          {"CapAmb:\t0000000000000000\n", "", State{}, true},
		"not-hex":             {"CapEff:\t00000000000000e1", "CapEff:\t0000000000000xe1", State{}, true},
		"too-wide":            {"CapEff:\t00000000000000e1", "CapEff:\t100000000000000e1", State{}, true},
		"empty-field":         {"CapEff:\t00000000000000e1", "CapEff:\t", State{}, true},
		"field-within-a-line": {"\nCapEff:", " CapEff:", State{}, true},
		"empty-file":          {lines, "", State{}, true},
	} {
		t.Run(name, func(t *testing.T) {
			s := State{NoNewPrivs: true}
			err := s.add([]byte(strings.Replace(lines, c.old, c.new, 1)))
			if (err != nil) != c.bad || err == nil && s != c.want {
				t.Errorf("got %+v, %v", s, err)
			}
		})
	}
	s := good
	testenv.Must(t, s.add([]byte(strings.NewReplacer("CapInh:\t0", "CapInh:\t8", "NoNewPrivs:\t1", "NoNewPrivs:\t0").Replace(lines))))
	testenv.Must(t, s.add([]byte(lines))) // a good thread does not make up for a bad one
	if s.Inheritable != 8<<60 || s.NoNewPrivs || s.Threads != 3 {
		t.Errorf("got %+v", s)
	}
}

func TestExcess(t *testing.T) {
	for name, c := range map[string]struct {
		s    State
		want []string
	}{
		"goal":        {State{Permitted: Needed, Effective: Needed, NoNewPrivs: true}, nil},
		"less":        {State{NoNewPrivs: true}, nil},
		"permitted":   {State{Permitted: Needed | setpcap, NoNewPrivs: true}, []string{"permitted-set"}},
		"effective":   {State{Effective: 1 << 40, NoNewPrivs: true}, []string{"effective-set"}},
		"inheritable": {State{Inheritable: 1, NoNewPrivs: true}, []string{"inheritable-set"}},
		"ambient":     {State{Ambient: 1, NoNewPrivs: true}, []string{"ambient-set"}},
		"bounding":    {State{Bounding: Needed, NoNewPrivs: true}, []string{"bounding-set"}},
		"new-privs":   {State{}, []string{"no-new-privs"}},
		"dumpable":    {State{NoNewPrivs: true, Dumpable: true}, []string{"dumpable"}},
		"all": {State{1, 1 << 40, 1 << 40, 1, 1, false, true, 1},
			[]string{"permitted-set", "effective-set", "inheritable-set", "ambient-set", "bounding-set", "no-new-privs", "dumpable"}},
	} {
		t.Run(name, func(t *testing.T) {
			if got := named(c.s.Excess()); !slices.Equal(got, c.want) {
				t.Errorf("got %v, want %v", got, c.want)
			}
		})
	}
}

// TestReadOneBadThread checks that one thread that differs is seen among many.
func TestReadOneBadThread(t *testing.T) {
	if !testenv.Inside(t, 0) {
		return
	}
	before, err := Read()
	testenv.Must(t, err)
	if before.NoNewPrivs || len(before.Excess()) == 0 {
		t.Errorf("a process that dropped nothing: %+v", before)
	}
	park(t, 5)
	testenv.Must(t, sys.SetCaps(Needed))
	unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) // this thread alone
	s, err := Read()
	testenv.Must(t, err)
	if s.NoNewPrivs || s.Threads < 6 || s.Effective != Needed {
		t.Errorf("got %+v", s)
	}
}

// TestReadFails checks that a /proc that does not answer, or not about all threads,
// proves nothing.
func TestReadFails(t *testing.T) {
	if !testenv.Inside(t, unix.CLONE_NEWNS) {
		return
	}
	testenv.Must(t, unix.Mount("none", "/proc", "tmpfs", 0, ""))
	if s, err := Read(); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no /proc: got %+v, %v", s, err)
	}
	testenv.Must(t, os.MkdirAll("/proc/self/task", 0o755))
	if s, err := Read(); err == nil || !strings.Contains(err.Error(), "no thread") {
		t.Errorf("no thread: got %+v, %v", s, err)
	}
	testenv.Must(t, os.MkdirAll("/proc/self/task/7", 0o755)) // has ended: no status
	if s, err := Read(); err == nil {
		t.Errorf("only a thread that ended: got %+v", s)
	}
	testenv.Must(t, os.MkdirAll("/proc/self/task/8/status", 0o755)) // cannot be read
	if s, err := Read(); !errors.Is(err, unix.EISDIR) || !strings.Contains(err.Error(), "thread 8") {
		t.Errorf("an unreadable thread: got %+v, %v", s, err)
	}
	testenv.Must(t, os.Remove("/proc/self/task/8/status"))
	testenv.Must(t, os.WriteFile("/proc/self/task/8/status", []byte("Name:\tx\n"), 0o600))
	if s, err := Read(); err == nil || !strings.Contains(err.Error(), "CapInh") {
		t.Errorf("a thread without fields: got %+v, %v", s, err)
	}
	testenv.Must(t, os.WriteFile("/proc/self/task/8/status", []byte(lines), 0o600))
	if s, err := Read(); err != nil || s.Threads != 1 || s.Effective != Needed {
		t.Errorf("one good thread: got %+v, %v", s, err)
	}
	testenv.Must(t, errors.Join(os.RemoveAll("/proc/self/task"), os.WriteFile("/proc/self/task", nil, 0o600)))
	if s, err := Read(); err == nil {
		t.Errorf("not a directory: got %+v", s)
	}
	testenv.Refuse(t, unix.EPERM, unix.SYS_PRCTL)
	if _, err := sys.Dumpable(); !errors.Is(err, unix.EPERM) {
		t.Errorf("dumpable: %v", err)
	}
}

// FuzzAdd checks that accepted text has all five sets, and gives the same again.
func FuzzAdd(f *testing.F) {
	f.Add([]byte(lines))
	f.Add([]byte(strings.ReplaceAll(lines, "\t0", "\tf")))
	f.Add([]byte("\nCapInh:\t0"))
	f.Fuzz(func(t *testing.T, data []byte) {
		s := State{NoNewPrivs: true}
		if s.add(data) != nil {
			return
		}
		again := s
		if err := again.add(data); err != nil || again.Threads != 2 {
			t.Fatalf("accepted once: %+v, %+v %v", s, again, err)
		}
		again.Threads = s.Threads
		if again != s {
			t.Errorf("%+v, then %+v", s, again)
		}
		for _, key := range []string{"CapInh:", "CapPrm:", "CapEff:", "CapBnd:", "CapAmb:"} {
			if !strings.Contains(string(data), "\n"+key+"\t") {
				t.Errorf("accepted without %s", key)
			}
		}
		if s.NoNewPrivs && !strings.Contains(string(data), "\nNoNewPrivs:\t1") {
			t.Error("no_new_privs out of nothing")
		}
	})
}
