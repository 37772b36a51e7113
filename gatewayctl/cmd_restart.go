package main

import (
	"errors"
	"flag"
	"fmt"
	"time"

	"gatewayinit/supervisor/control"
)

func cmdRestart() verb {
	return verb{
		name: "restart", args: "[--rotate-token] [--drain D] [--timeout D]",
		summary: "replace the gateway by a new one, and wait until that is proven",
		help: `A stopped gateway is started. What makes the request impossible is found
before the old gateway is stopped.

  --rotate-token   mint a new token; the old one ends with the old gateway
  --drain D        give the old gateway this long to end by itself, in whole
                   seconds, instead of stop.grace; its sidecars stay meanwhile
  --timeout D      wait at most this long (default 120s, plus the drain)

Exit code: 0 restarted and proven, 1 failed, 3 refused, 4 not serving,
5 no supervisor, 6 the deadline passed (the request stays queued).
`,
		setup: func(f *flag.FlagSet) func(*app, []string) int {
			rotate := f.Bool("rotate-token", false, "")
			drain := f.Duration("drain", 0, "")
			timeout := timeoutFlag(f, restartTimeout)
			return func(a *app, _ []string) int {
				given := map[string]bool{}
				f.Visit(func(f *flag.Flag) { given[f.Name] = true })
				r := control.Request{Action: control.Restart, Rotate: *rotate}
				if given["drain"] {
					if err := checkDrain(*drain); err != nil {
						return a.usage(err, "restart")
					}
					r.Drain = int(*drain / time.Second)
				}
				if !given["timeout"] {
					*timeout += *drain
				} else if *timeout > 0 && *drain >= *timeout {
					return a.usage(fmt.Errorf("--drain %v does not fit into --timeout %v", *drain, *timeout), "restart")
				}
				return a.ask(r, *timeout)
			}
		},
	}
}

func checkDrain(d time.Duration) error {
	switch {
	case d%time.Second != 0:
		return errors.New("--drain must be whole seconds")
	case d <= 0 || d > control.MaxDrain*time.Second:
		return fmt.Errorf("--drain must be 1s to %v", control.MaxDrain*time.Second)
	}
	return nil
}
