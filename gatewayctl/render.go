// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/gateway-init/gateway-init/internal/status"
)

// Colors of a verdict, as SGR parameters.
const (
	colorGreen  = "32"
	colorYellow = "33"
	colorRed    = "31"
)

// page collects the human output, one label and its text in each row.
type page struct {
	bytes.Buffer
	now   time.Time
	color bool
}

func (p *page) paint(color, text string) string {
	if !p.color {
		return text
	}
	return "\x1b[1;" + color + "m" + text + "\x1b[0m"
}

// row prints one line; an empty text prints nothing.
func (p *page) row(label, text string) {
	if text != "" {
		fmt.Fprintf(p, "%-14s %s\n", clean(label), clean(text))
	}
}

// ago formats a past time. The relative time comes first, because readers look
// for that.
func (p *page) ago(t time.Time) string {
	if t.IsZero() {
		return "at an unknown time"
	}
	return fmt.Sprintf("%s ago (%s)", formatSpan(p.now.Sub(t)), t.UTC().Format("2006-01-02 15:04:05 UTC"))
}

// agoPtr returns how long ago t was, after the text before. It returns "" if t
// is nil.
func (p *page) agoPtr(t *time.Time, before string) string {
	if t == nil {
		return ""
	}
	return before + formatSpan(p.now.Sub(*t)) + " ago"
}

// formatSpan formats a duration in its two largest units. A clock that was set back
// gives 0.
func formatSpan(d time.Duration) string {
	s := max(0, int64(d/time.Second))
	switch {
	case s < 60:
		return fmt.Sprintf("%ds", s)
	case s < 3600:
		return fmt.Sprintf("%dm%02ds", s/60, s%60)
	case s < 86400:
		return fmt.Sprintf("%dh%02dm", s/3600, s/60%60)
	}
	return fmt.Sprintf("%dd%02dh", s/86400, s/3600%24)
}

// render returns the output of gatewayctl status for a person.
func render(v view, now time.Time, color bool) string {
	p := &page{now: now, color: color}
	p.headline(v)
	if v.record != nil {
		p.row("topology", v.topology)
		p.gateway(v.record)
		p.requests(v.record)
		p.others(v.record)
		p.proof(v)
		p.hardening(v.record)
	} else {
		p.row("topology", v.topology)
		p.verified(v.checks)
	}
	p.row("next", v.hint)
	return p.String()
}

// headline prints the verdict, for readers who read only one line.
func (p *page) headline(v view) {
	word, color := "NOT SERVING", colorRed
	switch {
	case v.serving:
		word, color = "SERVING", colorGreen
	case v.code == exitNoSupervisor:
		word = "NO SUPERVISOR"
	case v.record == nil && v.checks == nil:
		word = "UNKNOWN"
	case v.record == nil:
	case v.record.State == status.Stopped && v.record.Goal == status.GoalStop:
		word, color = "STOPPED", colorYellow
	case v.record.State == status.Starting, v.record.State == status.Stopping, v.record.State == status.Backoff:
		word, color = strings.ToUpper(v.record.State), colorYellow
	}
	fmt.Fprint(p, p.paint(color, word))
	if !v.serving {
		fmt.Fprintf(p, "  %s: %s", clean(string(v.reason)), clean(v.detail))
	}
	fmt.Fprintln(p)
}

func (p *page) gateway(r *status.Record) {
	p.row("state", fmt.Sprintf("%s since %s", r.State, p.ago(r.Since)))
	g := r.Gateway
	switch {
	case !g.Enabled:
		p.row("gateway", "none (--no-gateway)")
	case g.PID == 0:
		p.row("gateway", fmt.Sprintf("no process; uid %d, port %d", g.UID, g.Port))
	default:
		p.row("gateway", fmt.Sprintf("pid %d, uid %d, port %d%s", g.PID, g.UID, g.Port, p.agoPtr(g.StartedAt, ", started ")))
	}
	p.row("health", p.health(r.Health))
	p.row("restarts", fmt.Sprintf("%d requested, %s", r.Restarts, pluralS(r.Crashes, "crash", "crashes")))
	if e := r.LastExit; e != nil {
		p.row("last exit", p.exit(*e))
	}
	if b := r.Backoff; b != nil {
		wait := formatSpan(b.Until.Sub(p.now))
		p.row("backoff", fmt.Sprintf("next start in %s (%s), %s in a row",
			wait, b.Until.UTC().Format("15:04:05 UTC"), pluralS(b.Streak, "crash", "crashes")))
	}
}

func (p *page) health(h status.Health) string {
	text := h.State
	if h.State == status.NotServing || h.Failures > 0 {
		text += fmt.Sprintf(" %d/%d", h.Failures, h.Limit)
	}
	text += p.agoPtr(h.At, ", checked ")
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
	why := "unrequested"
	if e.Requested {
		why = "as requested"
	}
	text := fmt.Sprintf("pid %d %s, %s, %s ago", e.PID, how, why, formatSpan(p.now.Sub(e.At)))
	if !e.Proven {
		text += ", before it was proven"
	}
	if e.Failure {
		text += ", counted as a crash"
	}
	return text
}

func signalName(n int) string {
	if name := unix.SignalName(unix.Signal(n)); name != "" {
		return name
	}
	return "signal " + strconv.Itoa(n)
}

func (p *page) requests(r *status.Record) {
	if q := r.Request; q != nil {
		text := fmt.Sprintf("%s (%s): %s, for %s", q.Action, q.Nonce, q.Stage, formatSpan(p.now.Sub(q.Since)))
		if q.Until != nil {
			text += fmt.Sprintf(", the old gateway has %s more to end", formatSpan(q.Until.Sub(p.now)))
		}
		if r.Queued > 0 {
			text += fmt.Sprintf(", %d more waiting", r.Queued)
		}
		p.row("request", text)
	} else if r.Queued > 0 {
		p.row("request", fmt.Sprintf("%d waiting", r.Queued))
	}
	if q := r.LastRequest; q != nil {
		p.row("last request", fmt.Sprintf("%s (%s): %s, %s ago", q.Action, q.Nonce, q.Result, formatSpan(p.now.Sub(q.At))))
	}
	if n := r.Refused; n != (status.Refused{}) {
		p.row("refused", fmt.Sprintf("%d malformed, %d replayed, %d unknown, %d for a full queue",
			n.Malformed, n.Replayed, n.UnknownAction, n.QueueFull))
	}
}

// others prints the children beside the gateway, and PID 1 itself.
func (p *page) others(r *status.Record) {
	child := func(label string, c status.Child) {
		text := c.State
		if c.PID != 0 {
			text += fmt.Sprintf(", pid %d", c.PID)
		}
		text += fmt.Sprintf(", uid %d", c.UID)
		if c.Restarts > 0 {
			text += ", " + pluralS(c.Restarts, "restart", "restarts")
		}
		if c.Detail != "" {
			text += ": " + c.Detail
		}
		p.row(label, text)
	}
	if r.Command != nil {
		child("command", *r.Command)
	}
	for _, c := range r.Sidecars {
		child("sidecar", status.Child{State: c.Name + " " + c.State, PID: c.PID, UID: c.UID, Restarts: c.Restarts, Detail: c.Detail})
	}
	if t := r.Token; t.Inode != 0 {
		p.row("token", fmt.Sprintf("%s, number %d since boot, minted %s ago", t.Path, t.Generation, formatSpan(p.now.Sub(t.MintedAt))))
	}
	p.row("supervisor", fmt.Sprintf("gateway-init %s, pid %d, up %s, record %s old",
		r.Version, r.Init.PID, formatSpan(p.now.Sub(r.StartedAt)), formatSpan(p.now.Sub(r.UpdatedAt))))
}

// proof prints the checks of this program, then the proof that PID 1 recorded.
func (p *page) proof(v view) {
	p.verified(v.checks)
	pr := v.record.Proof
	fmt.Fprintf(p, "proven by PID 1%s\n", p.agoPtr(pr.At, ", "))
	foreign := ""
	for _, l := range pr.Foreign {
		foreign += fmt.Sprintf("foreign: %s of uid %d ", l.Addr, l.UID)
	}
	p.signal("child", pr.Child, "")
	p.signal("listener", pr.Listener, strings.TrimSpace(foreign))
	p.signal("ready", pr.Ready, "")
	p.signal("auth", pr.Auth, "")
}

func (p *page) verified(cs checks) {
	if cs == nil {
		return
	}
	fmt.Fprintln(p, "verified now")
	for _, c := range cs {
		p.signal(strings.ReplaceAll(c.name, "_", " "), c.result, c.detail)
	}
}

func (p *page) signal(name, result, detail string) {
	word, color := "not available", colorYellow
	switch result {
	case status.Held:
		word, color = "held", colorGreen
	case status.Failed:
		word, color = "FAILED", colorRed
	}
	line := fmt.Sprintf("  %-12s %s", clean(name), p.paint(color, word))
	if detail != "" {
		line += strings.Repeat(" ", max(0, 13-len(word))) + "  " + clean(detail)
	}
	fmt.Fprintln(p, line)
}

func (p *page) hardening(r *status.Record) {
	if r.Separation == "none" {
		p.row("separation", "none: gateway and agent have one uid; the agent can read the token")
	}
	text := "complete"
	missing := len(status.Closable(r.Hardening))
	if missing > 0 {
		text = pluralS(missing, "protection", "protections") + " missing"
	}
	if missing < len(r.Hardening) {
		text += ", beside what this release leaves open"
	}
	p.row("hardening", text)
	for _, h := range r.Hardening {
		fmt.Fprintf(p, "  %s: %s\n", clean(h.Name), clean(h.Detail))
	}
}

// servingNext returns the hint for a gateway that serves. There is nothing to
// do, unless something beside the gateway is wrong.
func servingNext(cs checks) string {
	if c := cs.get(checkTokenFile); c.result == status.Failed {
		return c.reason.Next()
	}
	if c := cs.get(checkControl); c.result == status.Failed {
		return "wait for PID 1 to put its FIFO back; if it does not, restart the container"
	}
	return "nothing to do"
}

func pluralS(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}
