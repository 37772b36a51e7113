// SPDX-License-Identifier: Apache-2.0

package boot

import (
	"fmt"
	"strconv"
	"syscall"

	"github.com/gateway-init/gateway-init/internal/advice"
	"github.com/gateway-init/gateway-init/internal/config"
	"github.com/gateway-init/gateway-init/internal/sys"
)

// checkLimits refuses limits with which PID 1 or the gateway could never run. Go's
// runtime ends a program that a limit refuses a thread or memory.
func checkLimits(cfg *config.Config) error {
	if err := checkDescriptors(cfg); err != nil {
		return err
	}
	p, limited := sys.ReadPids()
	if !limited {
		return nil
	}
	return checkPids(p)
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

// checkDescriptors refuses a limit with which the gateway could never be
// started. Go has raised our soft limit to the hard one before main.
func checkDescriptors(cfg *config.Config) error {
	need := uint64(minDescriptors + 2*len(cfg.Sidecars))
	var have syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &have); err != nil || have.Cur >= need {
		return nil
	}
	return fmt.Errorf("cannot run with %d file descriptors: %s", have.Cur, advice.Descriptors(strconv.FormatUint(need, 10)))
}
