// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"time"
)

func cmdWait() verb {
	return verb{
		name: "wait", args: "[--timeout D]", summary: "wait until the gateway serves",
		help: `Waits until the gateway serves and is verified. It sends no request.

  --timeout D   wait at most this long (default 120s)

Exit code: 0 serving, 5 no supervisor, 6 the deadline passed.
`,
		setup: func(f *flag.FlagSet) func(*app, []string) int {
			timeout := timeoutFlag(f, 120*time.Second)
			return func(a *app, _ []string) int {
				if code, ok := a.checkTimeout("wait", *timeout); !ok {
					return code
				}
				ctx, cancel := interruptibleContext()
				defer cancel()
				ctx, cancel = context.WithTimeout(ctx, *timeout)
				defer cancel()
				return a.wait(ctx, *timeout)
			}
		},
	}
}

// mayControl reports whether root can expect a supervisor below a foreign PID 1 that
// has just started. It looks once more for it. If the supervisor is there, we become
// its controller. awaitOwn is the counterpart for other users.
func (a *app) mayControl() bool {
	if a.euid != 0 || a.runtimeDir != "" {
		return false
	}
	if _, err := a.config(); err != nil {
		return false
	}
	a.external = a.controls()
	return true
}

func (a *app) wait(ctx context.Context, timeout time.Duration) int {
	show := a.stages("wait")
	tick := time.NewTicker(watchEvery / 2)
	defer tick.Stop()
	var last view
	patient := time.Now().Add(a.patience)
	for {
		v := a.look(ctx)
		if ctx.Err() != nil && last.reason != "" { // this look was cut short; the previous one says more
			v = last
		}
		last = v
		switch {
		case v.serving:
			show.done()
			return a.write(fmt.Sprintf("serving: pid %d, port %d\n", v.pid, v.port))
		case v.code == exitNoSupervisor && (a.booting() || time.Now().Before(patient) && a.mayControl()): // keep waiting
		case v.code != exitNotServing:
			show.done()
			return a.fail(v.code, fmt.Errorf("cannot wait: %s: %s", v.reason, v.detail), v.hint)
		}
		if v.record != nil {
			show.stage(v.record.State)
		}
		select {
		case <-ctx.Done():
			show.done()
			if errors.Is(ctx.Err(), context.Canceled) {
				return a.fail(exitFailed, errors.New("cannot wait: interrupted"), "")
			}
			return a.fail(exitDeadline, fmt.Errorf("cannot wait: deadline of %v passed: %s: %s", timeout, v.reason, v.detail), v.hint)
		case <-tick.C:
		}
	}
}
