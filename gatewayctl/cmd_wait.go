// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"time"

	"github.com/gateway-init/gateway-init/gatewayctl/operate"
)

func cmdWait() verb {
	return verb{
		name: "wait", args: "[--timeout D]", summary: "wait until the gateway serves",
		help: `Waits until the gateway serves and is verified. It sends no request.

  --timeout D   wait at most this long (default 120s)

At most four processes watch or wait: one more ends the oldest.

Exit code: 0 serving, 1 it was interrupted or a later one ended it,
5 no supervisor, 6 the deadline passed.
`,
		setup: func(f *flag.FlagSet) func(*app, []string) int {
			timeout := timeoutFlag(f, 120*time.Second)
			return func(a *app, _ []string) int {
				if code, ok := a.checkTimeout("wait", *timeout); !ok {
					return code
				}
				limitWatchers()
				ctx, cancel := interruptibleContext()
				defer cancel()
				ctx, cancel = context.WithTimeout(ctx, *timeout)
				defer cancel()
				return a.wait(ctx, *timeout)
			}
		},
	}
}

// chooseAgain looks once more for a supervisor, if one may just be starting. It reports
// whether it may.
func (a *app) chooseAgain() bool {
	if !a.local.MayBecomeExternal() {
		return false
	}
	if operator, err := a.local.Choose(a.env); err == nil {
		a.operator = operator
	}
	return true
}

func (a *app) wait(ctx context.Context, timeout time.Duration) int {
	show := a.stages("wait")
	tick := time.NewTicker(watchEvery / 2)
	defer tick.Stop()
	var last operate.View
	patient := time.Now().Add(a.local.Patience)
	for {
		v := a.operator.Look(ctx)
		if ctx.Err() != nil && last.Reason != "" { // this look was cut short; the previous one says more
			v = last
		}
		last = v
		switch {
		case v.Serving:
			show.done()
			return a.write(fmt.Sprintf("serving: pid %d, port %d\n", v.PID, v.Port))
		case v.Code == exitNoSupervisor && (a.local.Booting() || time.Now().Before(patient) && a.chooseAgain()): // keep waiting
		case v.Code != exitNotServing:
			show.done()
			return a.fail(v.Code, fmt.Errorf("cannot wait: %s: %s", v.Reason, v.Detail), v.Hint)
		}
		if v.Record != nil {
			show.stage(v.Record.State)
		}
		select {
		case <-ctx.Done():
			show.done()
			if errors.Is(ctx.Err(), context.Canceled) {
				return a.fail(exitFailed, fmt.Errorf("cannot wait: %w", context.Cause(ctx)), hintWatchers)
			}
			return a.fail(exitDeadline, fmt.Errorf("cannot wait: deadline of %v passed: %s: %s", timeout, v.Reason, v.Detail), v.Hint)
		case <-tick.C:
		}
	}
}
