// SPDX-License-Identifier: Apache-2.0

package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"

	"github.com/gateway-init/gateway-init/gatewayctl/external"
	"github.com/gateway-init/gateway-init/internal/procfs"
	"github.com/gateway-init/gateway-init/internal/reason"
	"github.com/gateway-init/gateway-init/internal/status"
)

// wordNoSupervisor is the one reason of a verdict that is not in the closed set,
// because no supervisor can reply with it.
const wordNoSupervisor reason.Reason = "no-supervisor"

// verdict is the result on which status, health and wait decide.
type verdict struct {
	serving bool
	code    int           // exitOK, exitNotServing, exitNoSupervisor; exitFailed if not even that is known
	reason  reason.Reason // or wordNoSupervisor; "" if it serves
	detail  string
	hint    string

	unmanaged bool // another gateway serves, which gateway-init did not start; detail names it
}

// view is one look at the supervisor. record is nil if there is none to read.
type view struct {
	record   *status.Record
	checks   checks
	topology string
	pid      int // of the gateway; 0 if none
	port     uint16
	owns     func(procfs.Snapshot) bool // reports whether a process is the supervisor or its own; nil without one
	verdict
}

// lookOnce calls look with the default timeout.
func (a *app) lookOnce() view {
	ctx, cancel := context.WithTimeout(context.Background(), lookTimeout)
	defer cancel()
	return a.look(ctx)
}

// look reads the record and verifies it. It never fails; an error becomes the
// verdict. A controller's look waits for other controllers, until ctx ends at
// most.
func (a *app) look(ctx context.Context) view {
	if a.external {
		return a.lookAsController(ctx)
	}
	dir, err := a.openRuntime()
	if err != nil {
		return view{verdict: unreadableVerdict(err), topology: external.None}
	}
	defer dir.Close()
	return a.lookAt(dir)
}

// lookAt is look in an open runtime directory. If the record is replaced during
// the look, because a gateway is being restarted, lookAt looks again, at most
// twice. Otherwise it would compare an outdated record with the kernel.
func (a *app) lookAt(dir *os.File) view {
	for try := 0; ; try++ {
		r, err := status.Read(dir, a.owner)
		if err != nil {
			return view{verdict: unreadableVerdict(err)}
		}
		v := view{record: &r, checks: a.verify(dir, &r), pid: r.Gateway.PID, port: r.Gateway.Port, owns: inRecord(&r)}
		v.topology = a.topology(&r, v.checks)
		v.verdict = judge(&r, v.checks)
		if v.serving || try == 2 {
			return v
		}
		if again, err := status.Read(dir, a.owner); err != nil || again.UpdatedAt.Equal(r.UpdatedAt) {
			return v
		}
	}
}

// inRecord returns a function that reports whether a process is in the record,
// or below the record's gateway.
func inRecord(r *status.Record) func(procfs.Snapshot) bool {
	ours := []int{r.Init.PID, r.Gateway.PID}
	for _, child := range r.Sidecars {
		ours = append(ours, child.PID)
	}
	if r.Command != nil {
		ours = append(ours, r.Command.PID)
	}
	gateway := r.Gateway.PID
	return func(k procfs.Snapshot) bool { return slices.Contains(ours, k.PID) || external.Below(k, gateway) }
}

// topology returns the topology of docs/design.md, section 11, if the supervisor
// was verified.
func (a *app) topology(r *status.Record, cs checks) string {
	switch c := cs.get(checkSupervisor); {
	case c.result == status.Failed:
		return external.None
	case c.result != status.Held:
		return ""
	case r.Init.PID != 1:
		return external.Managed
	case a.owner != 0:
		return external.NonRoot
	}
	return external.Direct
}

// unreadableVerdict returns the verdict for a record that cannot be read.
func unreadableVerdict(err error) verdict {
	code, hint := errorExit(err)
	v := verdict{code: code, reason: reason.Internal, detail: err.Error(), hint: hint}
	switch {
	case code == exitNoSupervisor:
		v.reason = wordNoSupervisor
	case errors.Is(err, fs.ErrPermission):
		v.reason = reason.NotPermitted
	}
	return v
}

// judge returns the verdict for a record and its checks. The gateway serves only
// if PID 1 says so and no check here says otherwise. If a check could not be
// made, the gateway is unproven and does not count as serving.
func judge(r *status.Record, cs checks) verdict {
	if c := cs.get(checkSupervisor); c.result == status.Failed {
		return verdict{code: exitNoSupervisor, reason: wordNoSupervisor, detail: c.detail, hint: hintNoSupervisor}
	}
	if c := cs.get(checkControl); c.result == status.Failed && c.reason == "" {
		return verdict{code: exitNoSupervisor, reason: wordNoSupervisor, detail: c.detail, hint: hintNoSupervisor}
	}
	if !r.Gateway.Enabled {
		return verdict{code: exitNotServing, reason: reason.NotRunning,
			detail: "this container runs without a gateway (--no-gateway)", hint: "start the container without --no-gateway"}
	}
	if r.State != status.Running {
		v := notServingVerdict(stateReason(r), r.Detail)
		if r.Goal == status.GoalRun && (r.State == status.Starting || r.State == status.Stopping) {
			if v.reason != reason.AuthMismatch && v.reason != reason.StopTimeout { // waiting does not repair these
				v.hint = "gatewayctl wait"
			}
			if r.Detail == "" {
				v.detail = "the gateway is on its way"
			}
		}
		if r.State == status.Backoff && r.Detail == "" {
			v.detail = "the gateway ended; the next start waits for its backoff"
		}
		return v
	}
	for _, name := range []string{checkSupervisor, checkGateway, checkGatewayUID, checkListener} {
		switch c := cs.get(name); c.result {
		case status.Failed:
			return notServingVerdict(c.reason, c.detail)
		case status.NotAvailable:
			return notServingVerdict(reason.Unproven, fmt.Sprintf("%s: %s", name, c.detail))
		}
	}
	switch r.Health.State {
	case status.Serving:
		return verdict{serving: true, code: exitOK, hint: servingNext(r, cs)}
	case status.NotServing:
		return notServingVerdict(cmp.Or(r.Reason, reason.HealthTimeout), r.Health.Detail)
	}
	return notServingVerdict(cmp.Or(r.Reason, reason.Unproven), r.Health.Detail)
}

func notServingVerdict(why reason.Reason, detail string) verdict {
	if detail == "" {
		detail = why.Text()
	}
	return verdict{code: exitNotServing, reason: why, detail: detail, hint: why.Next()}
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
