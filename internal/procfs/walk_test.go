// SPDX-License-Identifier: Apache-2.0

package procfs

import (
	"errors"
	"os"
	"slices"
	"testing"

	"github.com/gateway-init/gateway-init/internal/testenv"
)

func TestEachIn(t *testing.T) {
	var pids []int
	testenv.Must(t, eachIn("/proc", 1<<16, func(pid int) error { pids = append(pids, pid); return nil }))
	if !slices.Contains(pids, os.Getpid()) || !slices.Contains(pids, 1) {
		t.Errorf("%v", pids)
	}
	if err := eachIn("/proc", len(pids)/2, func(int) error { return nil }); !errors.Is(err, errBound) {
		t.Errorf("beyond the bound: %v", err)
	}
	stop := errors.New("enough")
	if err := eachIn("/proc", 1<<16, func(int) error { return stop }); err != stop {
		t.Errorf("%v", err)
	}
}

// TestEachStat checks that no line in the one buffer is taken for another process's.
func TestEachStat(t *testing.T) {
	seen := map[int]Stat{}
	testenv.Must(t, EachStat(func(pid int, st Stat, err error) error {
		if err == nil {
			seen[pid] = st
		}
		return nil
	}))
	want, err := ReadStat(os.Getpid())
	testenv.Must(t, err)
	if got := seen[os.Getpid()]; got.ID() != want.ID() || got.Comm != want.Comm || got.PPID != os.Getppid() || seen[1].PID != 1 {
		t.Errorf("%+v, want %+v", got, want)
	}
	stop := errors.New("enough")
	if err := EachStat(func(int, Stat, error) error { return stop }); err != stop {
		t.Errorf("%v", err)
	}
}

func TestEachFile(t *testing.T) {
	f, err := os.CreateTemp(t.TempDir(), "open")
	testenv.Must(t, err)
	defer f.Close()
	found := false
	testenv.Must(t, EachFile(os.Getpid(), 1<<10, func(name string) error { found = found || name == f.Name(); return nil }))
	if !found {
		t.Errorf("%s is not found", f.Name())
	}
	if err := EachFile(os.Getpid(), 1, func(string) error { return nil }); !errors.Is(err, errBound) {
		t.Errorf("beyond the bound: %v", err)
	}
	if err := EachFile(1<<30, 1, func(string) error { return nil }); !IsGone(err) {
		t.Errorf("of nobody: %v", err)
	}
}
