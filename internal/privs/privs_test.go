// SPDX-License-Identifier: Apache-2.0

package privs

import (
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/gateway-init/gateway-init/internal/sys"
	"github.com/gateway-init/gateway-init/internal/testenv"
)

// park starts n goroutines that keep a thread each until the test ends.
func park(t *testing.T, n int) {
	t.Helper()
	ready, release := make(chan struct{}), make(chan struct{})
	for range n {
		go func() {
			runtime.LockOSThread()
			ready <- struct{}{}
			<-release
		}()
	}
	for range n {
		<-ready
	}
	t.Cleanup(func() { close(release) })
}

// threads returns each thread's status as the kernel shows it. It does not use Read,
// which is under test.
func threads(t *testing.T) []map[string]string {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/task")
	testenv.Must(t, err)
	var all []map[string]string
	for _, e := range entries {
		all = append(all, testenv.Status(t, "/proc/self/task/"+e.Name()+"/status"))
	}
	return all
}

func named(missing []Missing) (names []string) {
	for _, m := range missing {
		names = append(names, m.Name)
	}
	return names
}

// none is an empty set as the kernel prints it.
const none = "0000000000000000"

// TestDropAllThreads checks all threads, because PID 1 has the rights of each.
func TestDropAllThreads(t *testing.T) {
	if !testenv.Inside(t, 0) {
		return
	}
	park(t, 10)
	if missing := Drop(Needed); len(missing) != 0 {
		t.Errorf("missing: %v", missing)
	}
	park(t, 3) // threads that are made later inherit it
	all := threads(t)
	if len(all) < 14 {
		t.Fatalf("only %d threads", len(all))
	}
	needed := fmt.Sprintf("%016x", uint64(Needed))
	for _, f := range all {
		if f["CapEff"] != needed || f["CapPrm"] != needed || f["CapInh"] != none || f["CapBnd"] != none || f["CapAmb"] != none || f["NoNewPrivs"] != "1" {
			t.Errorf("thread %s: %s %s %s %s %s %s", f["Pid"], f["CapEff"], f["CapPrm"], f["CapInh"], f["CapBnd"], f["CapAmb"], f["NoNewPrivs"])
		}
	}
	var core unix.Rlimit
	testenv.Must(t, unix.Getrlimit(unix.RLIMIT_CORE, &core))
	if dumpable, err := sys.Dumpable(); err != nil || dumpable || core.Cur != 1 || core.Max != 1 {
		t.Errorf("dumpable %v %v, core limit %+v", dumpable, err, core)
	}
	s, err := Read()
	if err != nil || len(s.Excess()) != 0 || s.Threads < 14 || !s.NoNewPrivs || s.Dumpable || s.Permitted != Needed || s.Effective != Needed {
		t.Errorf("read back %+v, %v, excess %v", s, err, s.Excess())
	}
	if missing := Drop(Needed); len(missing) != 0 { // a second call does no harm
		t.Errorf("the second time is missing: %v", missing)
	}
	// An exec as root would give it all back if the bounding set were not empty.
	out, err := exec.Command("cat", "/proc/self/status").Output()
	testenv.Must(t, err)
	for _, set := range []string{"CapEff", "CapPrm", "CapBnd", "CapInh", "CapAmb"} {
		if !strings.Contains(string(out), "\n"+set+":\t"+none+"\n") {
			t.Errorf("a child of root has a %s", set)
		}
	}
}

// keep leaves the process with set, as an engine may have granted it, before Drop.
// The bounding set is the same if bounding is true, and otherwise empty.
func keep(t *testing.T, set uint64, bounding bool) {
	t.Helper()
	for c := uintptr(0); c <= unix.CAP_LAST_CAP; c++ {
		if set&(1<<c) == 0 || !bounding {
			testenv.Must(t, sys.AllThreads("prctl", unix.SYS_PRCTL, unix.PR_CAPBSET_DROP, c, 0, 0, 0))
		}
	}
	testenv.Must(t, sys.SetCaps(set))
}

const setpcap = 1 << unix.CAP_SETPCAP

// TestDropOfLess checks an engine that grants less than the README's command. The
// rights that are there are kept, and each missing one is named.
func TestDropOfLess(t *testing.T) {
	for name, c := range map[string]struct {
		set      uint64
		bounding bool // the bounding set holds them too
		missing  []string
		left     uint64
	}{
		"readme":          {Needed | setpcap, true, nil, Needed},
		"no-setpcap":      {Needed, true, []string{"bounding-set"}, Needed},
		"nothing-to-drop": {Needed, false, nil, Needed},
		"no-kill":         {(Needed | setpcap) &^ (1 << unix.CAP_KILL), true, []string{"cap-KILL"}, Needed &^ (1 << unix.CAP_KILL)},
		"none":            {0, false, []string{"cap-CHOWN", "cap-KILL", "cap-SETGID", "cap-SETUID"}, 0},
		"docker":          {0xa80425fb, true, nil, Needed},
		"high-bits":       {Needed | setpcap | 1<<unix.CAP_CHECKPOINT_RESTORE, true, nil, Needed},
	} {
		t.Run(name, func(t *testing.T) {
			if !testenv.Inside(t, 0) {
				return
			}
			park(t, 3)
			keep(t, c.set, c.bounding)
			if missing := named(Drop(Needed)); !slices.Equal(missing, c.missing) {
				t.Errorf("missing %v, want %v", missing, c.missing)
			}
			s, err := Read()
			if err != nil || s.Permitted != c.left || s.Effective != c.left {
				t.Errorf("left %+v, %v", s, err)
			}
			if unbound := slices.Contains(c.missing, "bounding-set"); (s.Bounding != 0) != unbound || slices.Contains(named(s.Excess()), "bounding-set") != unbound {
				t.Errorf("the bounding set is %x, excess %v", s.Bounding, s.Excess())
			}
		})
	}
}

// TestDropRefused checks that each call that a seccomp profile refuses is named, and
// that the steps after it are taken.
func TestDropRefused(t *testing.T) {
	for name, c := range map[string]struct {
		before func(*testing.T)
		want   []string
	}{
		"prctl": {func(t *testing.T) { testenv.Refuse(t, unix.EPERM, unix.SYS_PRCTL) },
			[]string{"bounding-set", "ambient-set", "no-new-privs", "dumpable"}},
		"capget": {func(t *testing.T) { testenv.Refuse(t, unix.EPERM, unix.SYS_CAPGET) }, []string{"capabilities"}},
		"capset": {func(t *testing.T) { testenv.Refuse(t, unix.EPERM, unix.SYS_CAPSET) }, []string{"capabilities"}},
		"setrlimit": {func(t *testing.T) { testenv.Refuse(t, unix.EPERM, unix.SYS_PRLIMIT64, unix.SYS_SETRLIMIT) },
			[]string{"core-limit"}},
		// --ulimit core=0: without SYS_RESOURCE no process raises a hard limit to 1.
		"ulimit-core-0": {func(t *testing.T) {
			testenv.Must(t, unix.Setrlimit(unix.RLIMIT_CORE, &unix.Rlimit{}))
			keep(t, Needed|setpcap, true)
		}, []string{"core-limit"}},
	} {
		t.Run(name, func(t *testing.T) {
			if !testenv.Inside(t, 0) {
				return
			}
			c.before(t)
			missing := Drop(Needed)
			if got := named(missing); !slices.Equal(got, c.want) {
				t.Errorf("missing %v, want %v", missing, c.want)
			}
			for _, m := range missing {
				if !strings.Contains(m.Detail, "; ") {
					t.Errorf("%s does not say what to do: %s", m.Name, m.Detail)
				}
			}
			f := testenv.Status(t, "/proc/self/status")
			if got := f["CapEff"] == fmt.Sprintf("%016x", uint64(Needed)); got == slices.Contains(c.want, "capabilities") {
				t.Errorf("effective set %s, missing %v", f["CapEff"], c.want)
			}
		})
	}
}

// TestDropAll checks that a process that is not root has nothing to keep.
func TestDropAll(t *testing.T) {
	if !testenv.Inside(t, 0) {
		return
	}
	park(t, 3)
	keep(t, Needed, false)
	if missing := Drop(0); len(missing) != 0 {
		t.Errorf("missing %v", missing)
	}
	if s, err := Read(); err != nil || s.Permitted != 0 || s.Effective != 0 || len(s.Excess()) != 0 {
		t.Errorf("left %+v, %v", s, err)
	}
}

// TestDropAllHint checks the flag in the text for a container without root.
func TestDropAllHint(t *testing.T) {
	if !testenv.Inside(t, 0) {
		return
	}
	keep(t, Needed, true) // without SETPCAP
	missing := Drop(0)
	if len(missing) != 1 || missing[0].Name != "bounding-set" || strings.Contains(missing[0].Detail, "--cap-add") {
		t.Errorf("missing %v", missing)
	}
}
