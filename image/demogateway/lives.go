// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// livesFile gets a line for each start, so that a test knows which token each
// gateway had, and from when on: also of one that was never proven.
const livesFile = "/var/lib/gateway/lives"

func noteLife(token string) error {
	var now unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &now); err != nil {
		return fmt.Errorf("cannot read the clock: %w", err)
	}
	f, err := os.OpenFile(livesFile, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return fmt.Errorf("cannot note this life: %w", err)
	}
	_, err = fmt.Fprintf(f, "%d %d %s\n", now.Nano(), os.Getpid(), token)
	return errors.Join(err, f.Close())
}

// exhaustStep is how much memory exhaust takes at a time.
const exhaustStep = 8 << 20

// exhaust takes memory and writes to each page, until the kernel ends this
// process because its cgroup has none left.
func exhaust() {
	page := os.Getpagesize()
	for all := [][]byte{}; ; {
		step := make([]byte, exhaustStep)
		for i := 0; i < len(step); i += page {
			step[i] = 1
		}
		all = append(all, step)
	}
}
