// SPDX-License-Identifier: Apache-2.0

package procfs

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
)

func TestParseStatus(t *testing.T) {
	const rest = "PPid:\t7\nUid:\t1\t2\t3\t4\nGid:\t5\t6\t7\t8\nThreads:\t2\n"
	want := Status{Running, 7, [4]uint32{1, 2, 3, 4}, [4]uint32{5, 6, 7, 8}, nil, 2}
	for name, c := range map[string]struct {
		text string
		want Status
		ok   bool
	}{
		"good":           {"Name:\tnode\nState:\tS (sleeping)\n" + rest, want, true},
		"namespaces":     {"State:\tD (disk sleep)\nNSpid:\t77\t5\n" + rest, Status{Running, 7, want.UIDs, want.GIDs, []int{77, 5}, 2}, true},
		"decoy-in-name":  {"Name:\tx\\nUid:\t0\t0\t0\t0\nState:\tZ (zombie)\n" + rest, Status{Zombie, 7, want.UIDs, want.GIDs, nil, 2}, true},
		"first-counts":   {"State:\tT (stopped)\n" + rest + "Uid:\t0\t0\t0\t0\n", Status{Stopped, 7, want.UIDs, want.GIDs, nil, 2}, true},
		"empty":          {"", Status{}, false},
		"no-state":       {rest, Status{}, false},
		"state-empty":    {"State:\t\n" + rest, Status{}, false},
		"state-unknown":  {"State:\tQ (?)\n" + rest, Status{}, false},
		"three-uids":     {"State:\tS\nPPid:\t7\nUid:\t1\t1\t1\nGid:\t1\t1\t1\t1\nThreads:\t1\n", Status{}, false},
		"too-large":      {"State:\tS\nPPid:\t7\nUid:\t1\t1\t1\t4294967296\nGid:\t1\t1\t1\t1\nThreads:\t1\n", Status{}, false},
		"negative":       {"State:\tS\nPPid:\t-7\nUid:\t1\t1\t1\t1\nGid:\t1\t1\t1\t1\nThreads:\t1\n", Status{}, false},
		"odd-namespaces": {"State:\tS\nNSpid:\t7\tx\n" + rest, Status{}, false},
		"largest-uid":    {"State:\tS\n" + strings.Replace(rest, "Uid:\t1", "Uid:\t4294967294", 1), Status{Running, 7, [4]uint32{1<<32 - 2, 2, 3, 4}, want.GIDs, nil, 2}, true},
		"parent-outside": {"State:\tS\n" + strings.Replace(rest, "PPid:\t7", "PPid:\t0", 1), Status{Running, 0, want.UIDs, want.GIDs, nil, 2}, true},
		"no-parent":      {"State:\tS\n" + strings.Replace(rest, "PPid", "PPit", 1), Status{}, false},
		"no-uid":         {"State:\tS\n" + strings.Replace(rest, "Uid", "Uit", 1), Status{}, false},
		"uid-negative":   {"State:\tS\n" + strings.Replace(rest, "Uid:\t1", "Uid:\t-1", 1), Status{}, false},
		"parent-no-pid":  {"State:\tS\n" + strings.Replace(rest, "PPid:\t7", "PPid:\t4294967295", 1), Status{}, false},
		"parent-not-all": {"State:\tS\n" + strings.Replace(rest, "PPid:\t7", "PPid:\t7x", 1), Status{}, false},
		"cut-in-uids":    {"State:\tS\n" + rest[:strings.Index(rest, "\t3\t")], Status{}, false},
		"no-tab":         {"State\nState:\tS\n" + rest, want, true},
		"no-threads":     {"State:\tS\nPPid:\t7\nUid:\t1\t1\t1\t1\nGid:\t1\t1\t1\t1\n", Status{}, false},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := parseStatus([]byte(c.text))
			if fmt.Sprint(got) != fmt.Sprint(c.want) || (err == nil) != c.ok {
				t.Errorf("%+v, %v", got, err)
			}
		})
	}
	if !(Status{UIDs: [4]uint32{3, 3, 3, 3}}).Only(3) || want.Only(1) {
		t.Error("Only is wrong")
	}
	if !(Status{State: Zombie, Threads: 1}).Ended() || (Status{State: Zombie, Threads: 2}).Ended() || (Status{State: Stopped}).Ended() {
		t.Error("Ended is wrong")
	}
	if !(Status{State: Zombie, Threads: 2}).Headless() || (Status{State: Zombie, Threads: 1}).Headless() || (Status{State: Stopped, Threads: 2}).Headless() {
		t.Error("Headless is wrong")
	}
	if s, err := ReadStatus(os.Getpid()); err != nil || s.PPID != os.Getppid() {
		t.Errorf("%+v, %v", s, err)
	}
	if _, err := ReadStatus(1 << 30); !errors.Is(err, ErrGone) {
		t.Errorf("%v", err)
	}
	if uid, err := ReadUID(os.Getpid()); err != nil || int(uid) != os.Getuid() {
		t.Errorf("uid %d, %v", uid, err)
	}
	if _, err := ReadUID(1 << 30); !IsGone(err) {
		t.Errorf("%v", err)
	}
}

// FuzzStatus checks that accepted text means the same in the kernel's form.
func FuzzStatus(f *testing.F) {
	f.Add([]byte("Name:\tnode\nState:\tS (sleeping)\nNSpid:\t9\t1\nPPid:\t7\nUid:\t1\t2\t3\t4\nGid:\t5\t6\t7\t8\nThreads:\t2\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		s, err := parseStatus(text)
		if err != nil {
			return
		}
		line := fmt.Appendf(nil, "State:\t%c\nPPid:\t%d\nThreads:\t%d\nUid:\t%d\t%d\t%d\t%d\nGid:\t%d\t%d\t%d\t%d\n", s.State, s.PPID, s.Threads,
			s.UIDs[0], s.UIDs[1], s.UIDs[2], s.UIDs[3], s.GIDs[0], s.GIDs[1], s.GIDs[2], s.GIDs[3])
		for i, n := range s.NSpid {
			line = fmt.Appendf(line, "%s%d", map[bool]string{true: "NSpid:\t", false: "\t"}[i == 0], n)
		}
		if again, err := parseStatus(line); err != nil || fmt.Sprint(again) != fmt.Sprint(s) {
			t.Fatalf("%+v became %+v, %v", s, again, err)
		}
	})
}
