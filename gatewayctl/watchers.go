// SPDX-License-Identifier: Apache-2.0

package main

import (
	"cmp"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/gateway-init/gateway-init/gatewayctl/operate"
	"github.com/gateway-init/gateway-init/internal/procfs"
	"github.com/gateway-init/gateway-init/internal/sys"
)

// A docker exec that was interrupted or killed leaves its process in the container, and
// no signal or closed pipe tells that process. So one that waits for long is bounded in
// time and in number. Otherwise some of them take all pids.
const (
	watchTime   = time.Hour // of status --watch without a terminal
	maxWatchers = 4         // processes that watch or wait
)

// hintWatchers says why a SIGTERM may have ended this process.
const hintWatchers = "at most four processes watch or wait: one more ends the oldest"

// limitWatchers ends the oldest processes of our user that watch or wait, so that
// maxWatchers are left with us. One that cannot be looked at or ended does not count.
func limitWatchers() {
	all := map[int]procfs.Stat{}
	_ = procfs.EachStat(func(pid int, st procfs.Stat, err error) error {
		if err == nil && st.Comm == "gatewayctl" && !st.Ended() {
			all[pid] = st
		}
		return nil
	})
	var others []procfs.ID
	for pid, st := range all {
		_, child := all[st.PPID] // package entry makes children that look like their parent
		if !child && pid != os.Getpid() && watches(pid) {
			others = append(others, st.ID())
		}
	}
	slices.SortFunc(others, func(a, b procfs.ID) int {
		return cmp.Or(cmp.Compare(a.Start, b.Start), cmp.Compare(a.PID, b.PID))
	})
	for _, id := range others[:max(0, len(others)-maxWatchers+1)] {
		_ = id.Signal(syscall.SIGTERM)
	}
}

// watches reports whether a gatewayctl of our user watches or waits in our PID namespace.
// A process of an inner PID namespace has a pid there, too.
func watches(pid int) bool {
	s, err := procfs.ReadStatus(pid)
	if err != nil || int(s.UIDs[0]) != os.Getuid() || len(s.NSpid) != 1 {
		return false
	}
	line, err := sys.ReadFile("/proc/" + strconv.Itoa(pid) + "/cmdline")
	return err == nil && isWatcher(strings.Split(string(line), "\x00"))
}

// isWatcher reports whether a command line of gatewayctl is one that watches or waits.
func isWatcher(argv []string) bool {
	global := (&app{local: &operate.Local{}}).flags("")
	if len(argv) == 0 || global.Parse(argv[1:]) != nil || global.NArg() == 0 {
		return false
	}
	v, rest, err := find(global.Args())
	if err != nil {
		return false
	}
	return v.name == "wait" || v.name == "status" && slices.ContainsFunc(rest, func(arg string) bool {
		name, _, _ := strings.Cut(strings.TrimLeft(arg, "-"), "=")
		return name == "watch"
	})
}
