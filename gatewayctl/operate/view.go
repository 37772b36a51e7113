// SPDX-License-Identifier: Apache-2.0

package operate

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"slices"

	"github.com/gateway-init/gateway-init/internal/procfs"
	"github.com/gateway-init/gateway-init/internal/reason"
	"github.com/gateway-init/gateway-init/internal/status"
)

// noSupervisor is the one reason of a verdict that is not in the closed set,
// because no supervisor can reply with it.
const noSupervisor reason.Reason = "no-supervisor"

// Verdict is the result on which status, health and wait decide.
type Verdict struct {
	Serving bool
	Code    int           // ExitOK, ExitNotServing, ExitNoSupervisor; ExitFailed if not even that is known
	Reason  reason.Reason // or no-supervisor; "" if it serves
	Detail  string
	Hint    string

	Unmanaged bool // another gateway serves, which gateway-init did not start; Detail names it
}

// View holds what one look at the supervisor has found. Record is nil if no status record
// could be read.
type View struct {
	Record   *status.Record
	Checks   Checks
	Topology string
	PID      int                    // of the gateway; 0 if none
	Port     uint16                 // that clients use
	owns     func(procfs.Stat) bool // reports whether a process is the supervisor or its own; nil without one
	Verdict
}

// inRecord returns a function that reports whether a process is in the record,
// or below the record's gateway.
func inRecord(r *status.Record) func(procfs.Stat) bool {
	ours := []int{r.Init.PID, r.Gateway.PID}
	for _, child := range r.Sidecars {
		ours = append(ours, child.PID)
	}
	if r.Command != nil {
		ours = append(ours, r.Command.PID)
	}
	gateway := r.Gateway.PID
	return func(st procfs.Stat) bool {
		return slices.Contains(ours, st.PID) || gateway != 0 && procfs.IsRelated(st.PID, gateway)
	}
}

// UnreadableVerdict returns the verdict for a record that cannot be read.
func UnreadableVerdict(err error) Verdict {
	code, hint := Explain(err)
	v := Verdict{Code: code, Reason: reason.Internal, Detail: err.Error(), Hint: hint}
	switch {
	case code == ExitNoSupervisor:
		v.Reason = noSupervisor
	case errors.Is(err, fs.ErrPermission):
		v.Reason = reason.NotPermitted
	}
	return v
}

// Judge returns the verdict for a record and its checks. The gateway serves only
// if PID 1 says so and no check here says otherwise. If a check could not be
// made, the gateway is unproven and does not count as serving.
func Judge(r *status.Record, cs Checks) Verdict {
	if c := cs.Get(CheckSupervisor); c.Result == status.Failed {
		return noSupervisorVerdict(c.Detail)
	}
	if c := cs.Get(CheckControl); c.Result == status.Failed && c.Reason == "" {
		return noSupervisorVerdict(c.Detail)
	}
	if !r.Gateway.Enabled {
		return Verdict{Code: ExitNotServing, Reason: reason.NotRunning,
			Detail: "this container runs without a gateway (--no-gateway)", Hint: "start the container without --no-gateway"}
	}
	if r.State != status.Running {
		v := NotServingVerdict(stateReason(r), r.Detail)
		if r.Goal == status.GoalRun && (r.State == status.Starting || r.State == status.Stopping) {
			if waitingHelps(r) {
				v.Hint = "gatewayctl wait"
			}
			if r.Detail == "" {
				v.Detail = "the gateway is on its way"
			}
		}
		if r.State == status.Backoff && r.Detail == "" {
			v.Detail = "the gateway ended; the next start waits for its backoff"
		}
		return v
	}
	for _, name := range []string{CheckSupervisor, CheckGateway, CheckGatewayUID, CheckListener} {
		switch c := cs.Get(name); c.Result {
		case status.Failed:
			return NotServingVerdict(c.Reason, c.Detail)
		case status.NotAvailable:
			return NotServingVerdict(reason.Unproven, fmt.Sprintf("%s: %s", name, c.Detail))
		}
	}
	switch r.Health.State {
	case status.Serving:
		return Verdict{Serving: true, Code: ExitOK, Hint: servingNext(r, cs)}
	case status.NotServing:
		return NotServingVerdict(cmp.Or(r.Reason, reason.HealthTimeout), r.Health.Detail)
	}
	return NotServingVerdict(cmp.Or(r.Reason, reason.Unproven), r.Health.Detail)
}

// waitingHelps reports whether a gateway that is on its way may get there by itself. One
// that did not serve within ready.timeout needs the next step of its reason.
func waitingHelps(r *status.Record) bool {
	switch r.Reason {
	case "":
		return true
	case reason.AuthMismatch, reason.StopTimeout:
		return false
	}
	return r.State == status.Stopping || r.Gateway.ReadyBy != nil
}

func noSupervisorVerdict(detail string) Verdict {
	return Verdict{Code: ExitNoSupervisor, Reason: noSupervisor, Detail: detail, Hint: hintNoSupervisor}
}

// NotServingVerdict returns the verdict for a gateway that does not serve.
func NotServingVerdict(why reason.Reason, detail string) Verdict {
	if detail == "" {
		detail = why.Text()
	}
	return Verdict{Code: ExitNotServing, Reason: why, Detail: detail, Hint: why.Next()}
}

// stateReason returns why a gateway in any state but running does not serve.
func stateReason(r *status.Record) reason.Reason {
	switch {
	case r.Goal == status.GoalExit:
		return reason.ShuttingDown
	case r.State == status.Stopped, r.State == status.Stopping && r.Goal == status.GoalStop:
		return cmp.Or(r.Reason, reason.NotRunning)
	case r.State == status.Backoff:
		return cmp.Or(r.Reason, reason.Exited)
	}
	return cmp.Or(r.Reason, reason.Unproven)
}

// servingNext returns the hint for a gateway that serves. There is nothing to
// do, unless something beside the gateway is wrong.
func servingNext(r *status.Record, cs Checks) string {
	if c := cs.Get(CheckTokenFile); c.Result == status.Failed {
		return c.Reason.Next()
	}
	if c := cs.Get(CheckPublish); c.Result == status.Failed {
		return publishNext(r)
	}
	if c := cs.Get(CheckControl); c.Result == status.Failed {
		return "wait for PID 1 to put its FIFO back; if it does not, restart the container"
	}
	next := "nothing to do"
	for _, c := range r.Sidecars {
		switch {
		case c.Pending == "":
		case c.State == "backoff" || c.State == "failed":
			return "read the output of sidecar " + c.Name + ": docker logs CONTAINER"
		default:
			next = "wait for it: gatewayctl status --watch"
		}
	}
	return next
}
