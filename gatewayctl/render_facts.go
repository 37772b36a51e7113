// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/gateway-init/gateway-init/gatewayctl/operate"
	"github.com/gateway-init/gateway-init/internal/status"
)

func (p *page) requests(r *status.Record, verbose bool) {
	if q := r.Request; q != nil {
		text := fmt.Sprintf("%s (%s): %s %s", q.Action, q.Nonce, q.Stage, p.since(q.Since))
		if q.Until != nil {
			text += ", the old gateway is killed " + p.until(*q.Until)
		}
		if r.Queued > 0 {
			text += fmt.Sprintf(", %d more waiting", r.Queued)
		}
		p.add("request", "%s", text)
	} else if r.Queued > 0 {
		p.add("request", "%d waiting", r.Queued)
	}
	if q := r.LastRequest; q != nil {
		p.add("last request", "%s (%s): %s, %s", q.Action, q.Nonce, q.Result, p.ago(q.At))
	}
	if n := r.Refused; verbose && n != (status.Refused{}) {
		p.add("refused", "%d malformed, %d replayed, %d unknown, %d for a full queue",
			n.Malformed, n.Replayed, n.UnknownAction, n.QueueFull)
	}
}

// children adds the command and the sidecars. The short form has one row for all
// sidecars, and details only of those that do not run.
func (p *page) children(r *status.Record, verbose bool) {
	if c := r.Command; c != nil {
		p.add("command", "%s", describeChild(*c, verbose))
	}
	if r.LogFiles {
		p.add("logs", "gatewayctl logs, because the command has the terminal")
	}
	all := []string{}
	for _, c := range r.Sidecars {
		text := c.Name + " " + describeChild(c, verbose)
		if verbose {
			p.add("sidecar", "%s", text)
		}
		all = append(all, text)
	}
	if !verbose {
		p.add("sidecars", "%s", strings.Join(all, ", "))
	}
}

func describeChild(c status.Child, verbose bool) string {
	text := c.State
	if verbose && c.PID != 0 {
		text += fmt.Sprintf(", pid %d", c.PID)
	}
	if verbose {
		text += fmt.Sprintf(", uid %d", c.UID)
		if c.Restarts > 0 {
			text += ", " + pluralS(c.Restarts, "restart", "restarts")
		}
	}
	if c.Detail != "" && (verbose || c.State == "backoff" || c.State == "failed") {
		text += " (" + c.Detail + ")"
	}
	return text
}

// describePublish describes the port that clients use.
func describePublish(p *status.Publish) string {
	if p.Problem != "" {
		return "NOT HELD: " + p.Problem
	}
	text := "port " + strconv.Itoa(int(p.Port)) + " on " + strings.Join(p.Listens, ", ")
	switch {
	case p.Relay == nil:
		return text + ", passed to the gateway"
	case p.Relay.PID == 0:
		return text + ", without a relay: " + p.Relay.Detail
	case !p.Proven:
		return text + fmt.Sprintf(", relay pid %d, clients wait", p.Relay.PID)
	}
	return text + fmt.Sprintf(", relay pid %d", p.Relay.PID)
}

// protections adds how the container differs from a complete one.
func (p *page) protections(r *status.Record, verbose bool) {
	if r.Separation == status.SeparationNone {
		p.add("separation", noSeparation)
	}
	missing := status.Missing(r.Hardening)
	names := make([]string, 0, len(missing))
	for _, h := range missing {
		names = append(names, h.Name)
	}
	switch {
	case len(names) > 0:
		p.add("hardening", "%s missing: %s", pluralS(len(names), "protection", "protections"), strings.Join(names, ", "))
	case verbose && len(r.Hardening) > 0:
		p.add("hardening", "complete, beside what the configuration leaves open")
	case verbose:
		p.add("hardening", "complete")
	}
	if verbose {
		for _, h := range r.Hardening {
			p.add("", "%s: %s", h.Name, h.Detail)
		}
	}
}

// evidence adds the checks of this program, the proof that PID 1 recorded, and the
// facts about PID 1 itself.
func (p *page) evidence(v operate.View) {
	if r := v.Record; r != nil {
		if t := r.Token; t.Inode != 0 {
			p.add("token", "%s, number %d since boot, minted %s", t.Path, t.Generation, p.ago(t.MintedAt))
		}
		p.add("supervisor", "gateway-init %s, pid %d, started %s%s", r.Version, r.Init.PID, p.ago(r.StartedAt), p.renewed(", record written ", &r.UpdatedAt))
		p.add("topology", "%s", v.Topology)
	}
	label := "verified now"
	for _, c := range v.Checks {
		p.check(label, strings.ReplaceAll(c.Name, "_", " "), c.Result, c.Detail)
		label = ""
	}
	if v.Record == nil {
		return
	}
	pr := v.Record.Proof
	p.add("PID 1 proved", "%s", "child "+resultText(pr.Child)+", listener "+resultText(pr.Listener)+
		", ready "+resultText(pr.Ready)+", auth "+resultText(pr.Auth)+p.renewed(", ", pr.At))
	for _, l := range pr.Foreign {
		p.add("foreign", "%s of uid %d", l.Addr, l.UID)
	}
}

func (p *page) check(label, name, result, detail string) {
	text := fmt.Sprintf("%s %s", name, resultText(result))
	if detail != "" {
		text += ": " + detail
	}
	p.add(label, "%s", text)
}

func resultText(result string) string {
	switch result {
	case status.Held:
		return "held"
	case status.Failed:
		return "FAILED"
	}
	return "not available"
}
