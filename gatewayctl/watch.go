// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"encoding/json"
	"os"
	"os/signal"
	"syscall"
	"time"
)

// watchEvery is how often --watch and wait look. A look costs well under a
// millisecond, and costs PID 1 nothing.
const watchEvery = 250 * time.Millisecond

// repaint is how often --watch redraws a terminal without a change, to update
// the relative times.
const repaint = time.Second

// clearScreen moves the cursor up and clears the screen below it, without flicker.
const clearScreen = "\x1b[H\x1b[2J"

// interruptibleContext returns a context that ends at SIGINT or SIGTERM.
func interruptibleContext() (context.Context, context.CancelFunc) {
	return signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
}

// watch prints the status at each change until it is interrupted. It returns the
// exit code of the last status.
func (a *app) watch(asJSON bool) int {
	ctx, cancel := interruptibleContext()
	defer cancel()
	return a.watchUntil(ctx, asJSON)
}

func (a *app) watchUntil(ctx context.Context, asJSON bool) int {
	redraw := a.outTTY && !asJSON
	prefix, drawn, last := "", "", time.Time{}
	if redraw {
		prefix = clearScreen
	}
	tick := time.NewTicker(watchEvery)
	defer tick.Stop()
	for {
		v := a.lookOnce()
		if key := v.key(); key != drawn || redraw && time.Since(last) >= repaint {
			if code := a.show(v, asJSON, prefix); code != v.code {
				return code
			}
			if drawn, last = key, time.Now(); !redraw && !asJSON {
				prefix = "\n"
			}
		}
		select {
		case <-ctx.Done():
			return v.code
		case <-tick.C:
		}
	}
}

// key returns a text that changes when anything but the passing of time does.
func (v view) key() string {
	record, _ := json.Marshal(v.record)
	key := string(record) + string(v.reason) + "\n" + v.detail
	for _, c := range v.checks {
		key += "\n" + c.name + c.result + c.detail
	}
	return key
}
