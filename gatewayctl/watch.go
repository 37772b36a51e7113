// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/gateway-init/gateway-init/gatewayctl/operate"
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

// watch prints the status at each change until it is interrupted, or the time is over.
// It returns the exit code of the last status.
func (a *app) watch(f format, limit time.Duration) int {
	ctx, cancel := interruptibleContext()
	defer cancel()
	if limit == 0 && !a.outTTY {
		limit = watchTime
	}
	if limit > 0 {
		ctx, cancel = context.WithTimeout(ctx, limit)
		defer cancel()
	}
	limitWatchers()
	code := a.watchUntil(ctx, f)
	switch err := ctx.Err(); {
	case errors.Is(err, context.DeadlineExceeded):
		fmt.Fprintf(a.err, "gatewayctl: the watch ended after %v (--timeout)\n", limit)
	case err != nil:
		fmt.Fprintf(a.err, "gatewayctl: the watch ended: %v: %s\n", context.Cause(ctx), hintWatchers)
	}
	return code
}

// watchUntil redraws a terminal. To a pipe it prints the first status, and then only
// the facts that changed, each with the time.
func (a *app) watchUntil(ctx context.Context, f format) int {
	var last []row
	drawn, at := "", time.Time{}
	redraw := a.outTTY && !f.json
	tick := time.NewTicker(watchEvery)
	defer tick.Stop()
	for {
		v := a.look()
		text, key := "", viewKey(v)
		switch {
		case key == drawn && !(redraw && time.Since(at) >= repaint):
		case redraw:
			text = clearScreen + render(v, a.local.Now(), f)
		case f.json:
			line, err := renderJSON(v)
			if err != nil {
				return a.fail(exitFailed, err, "")
			}
			text = line
		default:
			rows := newPage(v, a.local.Now(), false, f.verbose).rows
			text = changes(last, rows, a.local.Now())
			last = rows
		}
		if text != "" {
			if code := a.write(text); code != exitOK {
				return code
			}
			at = time.Now()
		}
		drawn = key
		select {
		case <-ctx.Done():
			return v.Code
		case <-tick.C:
		}
	}
}

// changes returns the rows that are not in old, one line each, after the time. A row
// that is gone is no change, but the row that took its place is.
func changes(old, rows []row, now time.Time) string {
	var b strings.Builder
	had := map[row]bool{}
	for _, r := range old {
		had[r] = true
	}
	for i, r := range rows {
		if had[r] {
			continue
		}
		if i == 0 {
			b.WriteString(now.UTC().Format(time.RFC3339) + " " + strings.TrimSpace(r.label+" "+r.text) + "\n")
		} else {
			b.WriteString(now.UTC().Format(time.RFC3339) + " " + strings.TrimPrefix(r.label+": ", ": ") + r.text + "\n")
		}
	}
	return b.String()
}

// viewKey returns a text that changes when a fact does. A record that was written again,
// and a check that was made again, are no facts.
func viewKey(v operate.View) string {
	key := string(v.Reason) + "\n" + v.Detail
	if v.Record != nil {
		r := *v.Record
		r.UpdatedAt, r.Health.At, r.Proof.At = time.Time{}, nil, nil
		record, _ := json.Marshal(r)
		key += string(record)
	}
	for _, c := range v.Checks {
		key += "\n" + c.Name + c.Result + c.Detail
	}
	return key
}
