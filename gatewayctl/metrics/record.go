// SPDX-License-Identifier: Apache-2.0

package metrics

import (
	"github.com/gateway-init/gateway-init/internal/reason"
	"github.com/gateway-init/gateway-init/internal/status"
)

// record is the source of the metrics that PID 1 published.
type record = *status.Record

// gatewayTable has what PID 1 says about the gateway.
func gatewayTable() []row[record] {
	return []row[record]{
		{"gateway_init_state", "1 for the present state of the gateway.", []string{"state"},
			func(r record, add adder) { add.oneOf(r.State, status.States()) }},
		{"gateway_init_goal", "1 for the present goal of gateway-init.", []string{"goal"},
			func(r record, add adder) { add.oneOf(r.Goal, status.Goals()) }},
		{"gateway_init_state_timestamp_seconds", "Begin of the state, since the epoch.", nil,
			func(r record, add adder) { add.time(&r.Since) }},
		{"gateway_init_restarts_total", "Processes of the gateway that were started after the first one, by how the one before ended.", []string{"reason"}, readRestarts},
		{"gateway_init_proven_restarts_total", "Gateways that a restart or recover started and that were proven.", nil,
			value(func(r record) float64 { return float64(r.Restarts) })},
		{"gateway_init_crashes_total", "Exits and failed starts that counted as failures, and gateways that were replaced because they did not serve.", nil,
			value(func(r record) float64 { return float64(r.Crashes) })},
		{"gateway_init_last_exit_code", "Exit code of the last gateway, 0 if a signal killed it.", nil,
			func(r record, add adder) {
				if r.LastExit != nil && r.LastExit.Signal == 0 {
					add(float64(r.LastExit.Code))
				} else if r.LastExit != nil {
					add(0)
				}
			}},
		{"gateway_init_last_exit_signal", "Number of the signal that killed the last gateway, otherwise 0.", nil,
			func(r record, add adder) {
				if r.LastExit != nil {
					add(float64(r.LastExit.Signal))
				}
			}},
		{"gateway_init_last_exit_requested", "1 if a request caused the last exit.", nil,
			func(r record, add adder) {
				if r.LastExit != nil {
					add(truth(r.LastExit.Requested))
				}
			}},
		{"gateway_init_last_exit_timestamp_seconds", "Time of the last exit, since the epoch.", nil,
			func(r record, add adder) {
				if r.LastExit != nil {
					add.time(&r.LastExit.At)
				}
			}},
		{"gateway_init_backoff_delay_seconds", "Delay of the next start, 0 if no start waits.", nil,
			value(func(r record) float64 { return float64(backoff(r).DelayMS) / 1000 })},
		{"gateway_init_backoff_failures", "Failures in a row that the delay comes from, 0 if no start waits.", nil,
			value(func(r record) float64 { return float64(backoff(r).Streak) })},
		{"gateway_init_backoff_end_timestamp_seconds", "Time of the next start, since the epoch. It is there while a start waits.", nil,
			func(r record, add adder) { add.time(ptr(backoff(r).Until)) }},
		{"gateway_init_health", "1 for the present health of the gateway.", []string{"health"},
			func(r record, add adder) { add.oneOf(r.Health.State, status.Healths()) }},
		{"gateway_init_health_failures", "Definite failures of health checks in a row.", nil,
			value(func(r record) float64 { return float64(r.Health.Failures) })},
		{"gateway_init_health_failures_limit", "Definite failures in a row after which the gateway is replaced.", nil,
			value(func(r record) float64 { return float64(r.Health.Limit) })},
		{"gateway_init_failed_health_checks_total", "Definite failures of health checks, and of proofs by request.", nil,
			value(func(r record) float64 { return float64(r.Health.Failed) })},
		{"gateway_init_health_timestamp_seconds", "Time of the last health check, since the epoch.", nil,
			func(r record, add adder) { add.time(r.Health.At) }},
		{"gateway_init_proof", "1 for the present result of each signal of the last proof.", []string{"signal", "result"}, readProof},
		{"gateway_init_proof_timestamp_seconds", "Time of the last proof, since the epoch. A health check is one, without the token.", nil,
			func(r record, add adder) { add.time(r.Proof.At) }},
		{"gateway_init_foreign_listeners", "Sockets on the gateway's port that are not the gateway's, at most 8.", nil,
			value(func(r record) float64 { return float64(len(r.Proof.Foreign)) })},
	}
}

// readRestarts adds the starts after the first one.
func readRestarts(r record, add adder) {
	add(float64(r.Starts.Requested), "requested")
	add(float64(r.Starts.Exited), "exited")
	add(float64(r.Starts.Unresponsive), "unresponsive")
	add(float64(r.Starts.Controller), "controller")
	add(float64(r.Starts.Failed), "failed")
}

func readProof(r record, add adder) {
	add.oneOf(r.Proof.Child, status.Results(), "child")
	add.oneOf(r.Proof.Listener, status.Results(), "listener")
	add.oneOf(r.Proof.Ready, status.Results(), "ready")
	add.oneOf(r.Proof.Auth, status.Results(), "auth")
}

// backoff returns the backoff in progress, or a zero one.
func backoff(r record) (none status.Waiting) {
	if r.Backoff == nil {
		return none
	}
	return *r.Backoff
}

func ptr[T any](v T) *T { return &v }

// supervisorTable has what PID 1 says about itself.
func supervisorTable() []row[record] {
	return []row[record]{
		{"gateway_init_start_time_seconds", "Start of gateway-init, since the epoch. All counters begin there.", nil,
			func(r record, add adder) { add.time(&r.StartedAt) }},
		{"gateway_init_record_timestamp_seconds", "Time at which gateway-init wrote its record, since the epoch. It writes at each change.", nil,
			func(r record, add adder) { add.time(&r.UpdatedAt) }},
		{"gateway_init_requests_queued", "Requests that wait behind the one in progress.", nil,
			value(func(r record) float64 { return float64(r.Queued) })},
		{"gateway_init_requests_in_progress", "1 while gateway-init works on a request.", nil,
			value(func(r record) float64 { return truth(r.Request != nil) })},
		{"gateway_init_refused_requests_total", "Frames that had no effect, by reason (docs/reasons.md).", []string{"reason"},
			func(r record, add adder) {
				add(float64(r.Refused.Malformed), string(reason.Malformed))
				add(float64(r.Refused.Replayed), string(reason.Replayed))
				add(float64(r.Refused.UnknownAction), string(reason.UnknownAction))
				add(float64(r.Refused.QueueFull), string(reason.QueueFull))
			}},
		{"gateway_init_token_generation", "Number of the token in force since boot. It grows by 1 with each new token.", nil,
			func(r record, add adder) {
				if r.Token.Inode != 0 {
					add(float64(r.Token.Generation))
				}
			}},
		{"gateway_init_token_timestamp_seconds", "Time at which the token in force was minted, since the epoch.", nil,
			func(r record, add adder) { add.time(&r.Token.MintedAt) }},
		{"gateway_init_separated", "1 if gateway and agent have different users.", nil,
			value(func(r record) float64 { return truth(r.Separation == status.SeparationUID) })},
		{"gateway_init_hardening_missing", "Missing protections.", nil,
			value(func(r record) float64 { return float64(len(status.Missing(r.Hardening))) })},
		{"gateway_init_hardening_missing_info", "1 with the name of each missing protection (docs/hardening.md), also of the one that gateway.confine closes.", []string{"name"},
			func(r record, add adder) {
				for _, h := range r.Hardening {
					add(1, h.Name)
				}
			}},
		{"gateway_init_command_state", "1 for the present state of the container's command.", []string{"state"},
			func(r record, add adder) {
				if r.Command != nil {
					add.oneOf(r.Command.State, status.ChildStates())
				}
			}},
		{"gateway_init_command_start_time_seconds", "Start of the container's command, since the epoch. It is there while the command runs.", nil,
			func(r record, add adder) {
				if r.Command != nil {
					add.time(r.Command.StartedAt)
				}
			}},
	}
}

// sidecarTable has what PID 1 says about one sidecar.
func sidecarTable() []row[status.Child] {
	name := []string{"sidecar"}
	return []row[status.Child]{
		{"gateway_init_sidecar_state", "1 for the present state of each sidecar.", []string{"sidecar", "state"},
			func(c status.Child, add adder) { add.oneOf(c.State, status.ChildStates(), c.Name) }},
		{"gateway_init_sidecar_restarts_total", "Restarts of each sidecar that ended by itself.", name,
			func(c status.Child, add adder) { add(float64(c.Restarts), c.Name) }},
		{"gateway_init_sidecar_pending", "1 while a sidecar should run, or a one-shot should be done, and is not.", name,
			func(c status.Child, add adder) { add(truth(c.Pending != ""), c.Name) }},
		{"gateway_init_sidecar_start_time_seconds", "Start of each sidecar's process, since the epoch. It is there while the sidecar runs.", name,
			func(c status.Child, add adder) { add.time(c.StartedAt, c.Name) }},
	}
}
