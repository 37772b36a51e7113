// SPDX-License-Identifier: Apache-2.0

package boot

import (
	"fmt"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/gateway-init/gateway-init/internal/advice"
	"github.com/gateway-init/gateway-init/internal/config"
	"github.com/gateway-init/gateway-init/internal/sys"
)

// checkLimits refuses limits with which PID 1 or the gateway could never run. Go's
// runtime ends a program that a limit refuses a thread or memory. bounded reports whether
// the cgroup has a limit on pids.
func checkLimits(cfg *config.Config, s settings) (bounded bool, err error) {
	if err := checkDescriptors(cfg, s.ownsTerminal()); err != nil {
		return false, err
	}
	pids, bounded := sys.ReadPids()
	if bounded {
		if err := checkPids(pids); err != nil {
			return true, err
		}
	}
	for _, l := range []struct {
		resource  int
		need      uint64
		what, how string
	}{
		{unix.RLIMIT_NPROC, minPids, "processes of one user", "nproc"},
		{unix.RLIMIT_FSIZE, minFileSize, "bytes of a file", "fsize"},
	} {
		var have syscall.Rlimit
		if syscall.Getrlimit(l.resource, &have) == nil && have.Cur < l.need {
			return bounded, fmt.Errorf("cannot run with a limit of %d %s: run with --ulimit %s=%d or more", have.Cur, l.what, l.how, l.need)
		}
	}
	return bounded, checkPending(sys.ReadFile("/proc/self/status"))
}

// minFileSize is enough for the file with the orders for a re-exec child, with the greatest
// environment that the usual stack limit of 8 MiB permits: 2 MiB (execve(2)).
const minFileSize = 4 << 20

// minPending is room in the queue of pending signals, which all processes of our user
// share. A system call in all threads takes one for each thread, and Go's runtime waits
// without end for a thread that did not get its signal.
const minPending = 32

// checkPending looks at the line "SigQ:\tQUEUED/LIMIT" of /proc/self/status
// (proc_pid_status(5)).
func checkPending(text []byte, err error) error {
	if err != nil {
		return fmt.Errorf("cannot read the limit of pending signals: %w: the engine must mount procfs at /proc", err)
	}
	for line := range strings.Lines(string(text)) {
		figures, found := strings.CutPrefix(line, "SigQ:\t")
		before, after, _ := strings.Cut(strings.TrimSuffix(figures, "\n"), "/")
		queued, err := strconv.ParseUint(before, 10, 64)
		limit, err2 := strconv.ParseUint(after, 10, 64)
		if found && err == nil && err2 == nil && queued+minPending > limit {
			return fmt.Errorf("cannot run: %d of %d pending signals are in use, and %d more are needed: run with --ulimit sigpending=%d or more",
				queued, limit, minPending, queued+minPending)
		}
	}
	return nil
}

// minPids is the lowest pids limit. PID 1 has some 20 threads, and the gateway, a
// worker and gatewayctl have some 20 together. minFreePids is the room at boot, because
// a limit may be shared with others.
const (
	minPids     = 64
	minFreePids = 32
)

func checkPids(p sys.Pids) error {
	switch {
	case p.Max < minPids:
		return fmt.Errorf("cannot run with a pids limit of %d: run with --pids-limit %d or more", p.Max, minPids)
	case p.Free() < minFreePids:
		return fmt.Errorf("cannot run: %v, and %d more are needed: end other processes of the cgroup, or run with a higher --pids-limit", p, minFreePids)
	}
	return nil
}

// minDescriptors is enough for a launch and a proof at the same time, with some to
// spare. Each sidecar holds one or two more.
const minDescriptors = 32

// logDescriptors is for the logs and the gateway's pipe while a command owns the terminal.
// Each sidecar then has a pipe, too.
const logDescriptors = 8

// confineDescriptors is for the files of /proc that PID 1 holds for a confined gateway, for
// its directory there, and for the pipe of its launch. Each sidecar may have a directory, too.
const confineDescriptors = 12

// checkDescriptors refuses a limit with which the gateway could never be
// started. Go has raised our soft limit to the hard one before main.
func checkDescriptors(cfg *config.Config, logs bool) error {
	sidecars := len(cfg.Sidecars)
	need := uint64(minDescriptors + 2*sidecars)
	if logs {
		need += uint64(logDescriptors + 2*sidecars)
	}
	if cfg.Gateway.Confine == config.ConfineProc {
		need += uint64(confineDescriptors + sidecars)
	}
	var have syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &have); err != nil || have.Cur >= need {
		return nil
	}
	return fmt.Errorf("cannot run with %d file descriptors: %s", have.Cur, advice.Descriptors(strconv.FormatUint(need, 10)))
}
