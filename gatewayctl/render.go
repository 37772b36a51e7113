// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/gateway-init/gateway-init/gatewayctl/external"
	"github.com/gateway-init/gateway-init/gatewayctl/operate"
	"github.com/gateway-init/gateway-init/internal/reason"
	"github.com/gateway-init/gateway-init/internal/status"
)

// format says how status is printed.
type format struct {
	json    bool
	verbose bool // also prints the evidence
	color   bool
}

// render returns the output of gatewayctl status for a person: the verdict, the next
// step, and the facts behind it.
func render(v operate.View, now time.Time, f format) string {
	p := newPage(v, now, true, f.verbose)
	text := p.String()
	if f.color {
		word, color, _ := headline(v)
		text = paint(text, word, color)
	}
	return text
}

func newPage(v operate.View, now time.Time, live, verbose bool) *page {
	p := &page{now: now, live: live}
	word, _, text := headline(v)
	if v.Serving && text != "" {
		p.rows = append(p.rows, row{word + ",", clean(text), true})
	} else {
		p.rows = append(p.rows, row{word, clean(text), false})
	}
	p.add("next", "%s", v.Hint)
	if v.Record == nil {
		p.external(v)
	} else {
		p.gateway(v)
		p.requests(v.Record, verbose)
		p.children(v.Record, verbose)
		p.protections(v.Record, verbose)
	}
	if verbose {
		p.evidence(v)
	}
	return p
}

// headline returns the verdict for readers who read only one line: a word, its
// color, and why.
func headline(v operate.View) (word, color, text string) {
	why := string(v.Reason) + ": " + v.Detail
	r := v.Record
	switch {
	case v.Serving:
		if waits := pending(r); len(waits) > 0 {
			return "SERVING", colorGreen, strings.Join(waits, ", ")
		}
		return "SERVING", colorGreen, ""
	case v.Code == exitNoSupervisor:
		return "NO SUPERVISOR", colorRed, v.Detail
	case r == nil && v.Checks == nil:
		return "UNKNOWN", colorRed, why
	case r == nil:
		return "NOT SERVING", colorRed, why
	case v.Unmanaged && r.State != status.Running, r.State == status.Stopping && r.Reason == reason.StopTimeout:
		return strings.ToUpper(r.State), colorYellow, why
	case r.Goal == status.GoalExit:
		return "STOPPING", colorYellow, "the container ends"
	case !r.Gateway.Enabled:
		return "STOPPED", colorYellow, v.Detail
	case r.State == status.Stopping && r.Goal == status.GoalRun:
		return "STOPPING", colorYellow, "the next gateway starts when this one has ended"
	case r.State == status.Stopping:
		return "STOPPING", colorYellow, "as requested"
	case r.State == status.Stopped && r.Reason == "":
		return "STOPPED", colorYellow, "as requested"
	case startsNormally(r):
		return "STARTING", colorYellow, "not proven yet"
	case r.State == status.Running:
		return "NOT SERVING", colorRed, why
	}
	return strings.ToUpper(r.State), colorYellow, why
}

// startsNormally reports whether the gateway has time left to become ready, and has
// no fault that waiting cannot repair.
func startsNormally(r *status.Record) bool {
	if r.State != status.Starting || r.Goal != status.GoalRun {
		return false
	}
	switch r.Reason {
	case "":
		return true
	case reason.ListenerMissing, reason.HealthTimeout, reason.Unproven:
		return r.Gateway.ReadyBy != nil
	}
	return false
}

// pending returns a text for each sidecar that should be running or done and is not.
func pending(r *status.Record) (texts []string) {
	if r == nil {
		return nil
	}
	for _, c := range r.Sidecars {
		if c.Pending != "" {
			texts = append(texts, clean(c.Pending))
		}
	}
	return texts
}

func (p *page) gateway(v operate.View) {
	r := v.Record
	if r.State != status.Running {
		ready := ""
		if r.Gateway.ReadyBy != nil {
			ready = ", ready.timeout " + p.until(*r.Gateway.ReadyBy)
		} else if r.Gateway.GiveUpAt != nil && r.Health.State == status.NotServing { // for no other result
			ready = ", replaced " + p.until(*r.Gateway.GiveUpAt) + " if it does not serve"
		}
		p.add("state", "%s %s%s", r.State, p.since(r.Since), ready)
	}
	g := r.Gateway
	switch {
	case !g.Enabled:
		p.add("gateway", "none (--no-gateway)")
	case g.PID == 0:
		p.add("gateway", "no process (port %d)", g.Port)
	default:
		started := ""
		if g.StartedAt != nil {
			started = ", started " + p.ago(*g.StartedAt)
		}
		open := ""
		if v.Checks.Get(operate.CheckListener).Public {
			open = ", open to other hosts"
		}
		p.add("gateway", "pid %d, port %d%s, uid %d%s", g.PID, g.Port, open, g.UID, started)
	}
	if r.Publish != nil {
		p.add("published", "%s", describePublish(r.Publish))
	}
	if g.PID != 0 {
		p.add("health", "%s", p.health(r.Health))
	}
	if v.Serving && r.Proof.Auth == status.NotAvailable {
		p.add("auth", "not checked: the configuration has no gateway.auth_check")
	}
	if r.Crashes > 0 {
		p.add("crashes", "%d, and %s on request", r.Crashes, pluralS(r.Restarts, "restart", "restarts"))
	}
	if e := r.LastExit; e != nil && (!e.Requested || r.State == status.Stopped) {
		p.add("last exit", "%s", p.exit(*e))
	}
	if b := r.Backoff; b != nil {
		p.add("backoff", "next start %s, after %s in a row", p.until(b.Until), pluralS(b.Streak, "failure", "failures"))
	}
}

func (p *page) health(h status.Health) string {
	text := h.State
	if h.State == status.NotServing || h.Failures > 0 {
		text += fmt.Sprintf(" %d/%d", h.Failures, h.Limit)
	}
	text += p.renewed(", checked ", h.At)
	if h.Detail != "" {
		text += ": " + h.Detail
	}
	return text
}

// exit describes how the last gateway ended.
func (p *page) exit(e status.Exit) string {
	how := fmt.Sprintf("exited with code %d", e.Code)
	if e.Signal != 0 {
		how = "killed by " + signalName(e.Signal)
	}
	if e.Text != "" {
		how += " (" + e.Text + ")"
	}
	why := ""
	if e.Requested {
		why = ", as requested"
	}
	text := fmt.Sprintf("pid %d %s%s, %s", e.PID, how, why, p.ago(e.At))
	if !e.Proven {
		text += ", before it was proven"
	}
	return text
}

func signalName(n int) string {
	if name := unix.SignalName(unix.Signal(n)); name != "" {
		return name
	}
	return "signal " + strconv.Itoa(n)
}

// external adds the facts of a look from outside, which has no record.
func (p *page) external(v operate.View) {
	if v.PID != 0 {
		p.add("gateway", "pid %d, port %d", v.PID, v.Port)
	}
	switch v.Topology {
	case external.Managed:
		p.add("topology", "managed: gateway-init is not PID 1")
	case external.NonRoot:
		p.add("topology", "non-root: gateway-init is not root")
	}
	if v.Topology == external.Managed || v.Topology == external.NonRoot {
		p.add("separation", noSeparation)
	}
}

const noSeparation = "none: gateway and agent have one uid; the agent can read the token"
