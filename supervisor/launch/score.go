// SPDX-License-Identifier: Apache-2.0

package launch

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/gateway-init/gateway-init/internal/policy"
	"github.com/gateway-init/gateway-init/internal/sys"
)

// raiseScore raises our own OOM score adjustment to adj for the length of a fork,
// because a child inherits it (proc_pid_oom_score_adj(5)). restore puts our own value
// back, and must be called. A re-exec child of another user cannot raise its own,
// because its program is closed to that user, so the kernel gives its files in /proc
// to root. An adj of 0, or one not above our own, changes nothing. The caller is the
// only goroutine that forks.
func raiseScore(adj int) (restore func() error, err error) {
	restore = func() error { return nil }
	if adj == 0 {
		return restore, nil
	}
	text, own, err := ownScore()
	if err != nil {
		return restore, err
	}
	if adj <= own {
		return restore, nil
	}
	if err := sys.SetOOMScore(strconv.Itoa(adj)); err != nil {
		return restore, fmt.Errorf("cannot raise the OOM score: %w", err)
	}
	return func() error {
		if err := sys.SetOOMScore(text); err != nil {
			return fmt.Errorf("cannot lower our own OOM score again: %w", err)
		}
		return nil
	}, nil
}

// TryScore raises our own OOM score adjustment by one and lowers it again, as each
// fork does, and returns it. If that fails, children must have no OOMAdj, because PID 1
// would keep the highest of them. The highest adjustment cannot be raised, and every
// child inherits it.
func TryScore() (own int, err error) {
	if _, own, err = ownScore(); err != nil || own >= policy.MaxOOMScore {
		return own, err
	}
	restore, err := raiseScore(own + 1)
	if err != nil {
		return own, err
	}
	return own, restore()
}

// ownScore reads our own adjustment, as text and as a number.
func ownScore() (text string, own int, err error) {
	if text, err = sys.OOMScore(); err == nil {
		own, err = strconv.Atoi(strings.TrimSpace(text))
	}
	if err != nil {
		err = fmt.Errorf("cannot read our own OOM score: %w", err)
	}
	return text, own, err
}
