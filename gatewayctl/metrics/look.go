// SPDX-License-Identifier: Apache-2.0

package metrics

import (
	"time"

	"github.com/gateway-init/gateway-init/gatewayctl/operate"
	"github.com/gateway-init/gateway-init/internal/status"
)

// lookTable has the metrics that gatewayctl finds out itself.
func lookTable() []row[Look] {
	return []row[Look]{
		{"gateway_init_up", "1 if the supervisor was verified: its process lives and reads requests. With 0 there are no metrics of the record.", nil,
			value(func(l Look) float64 { return truth(l.isUp()) })},
		{"gateway_init_serving", "1 if the gateway serves, as the first line of gatewayctl status says.", nil,
			value(func(l Look) float64 { return truth(l.Serving) })},
		{"gateway_init_not_serving_info", "1 with the reason, while the gateway does not serve (docs/reasons.md).", []string{"reason"},
			func(l Look, add adder) {
				if !l.Serving {
					add(1, string(l.Reason))
				}
			}},
		{"gateway_init_unsupervised_gateway", "1 if a gateway serves that gateway-init did not start.", nil,
			value(func(l Look) float64 { return truth(l.Unmanaged) })},
		{"gateway_init_check", "1 for the present result of each check of gatewayctl. With gateway_init_up 0 these are supervisor and control.", []string{"check", "result"},
			func(l Look, add adder) {
				for _, c := range l.Checks {
					if l.isUp() || c.Name == operate.CheckSupervisor || c.Name == operate.CheckControl {
						add.oneOf(c.Result, status.Results(), c.Name)
					}
				}
			}},
		{"gateway_init_build_info", "1 with the version of each program.", []string{"program", "version"},
			func(l Look, add adder) {
				if r := l.current(); r != nil {
					add(1, "gateway-init", r.Version)
				}
				add(1, "gatewayctl", l.Version)
			}},
		{"gateway_init_topology_info", "1 with the topology: direct, non-root or managed.", []string{"topology"},
			func(l Look, add adder) {
				if l.isUp() && l.Topology != "" {
					add(1, l.Topology)
				}
			}},
		{"gateway_init_threads", "Threads of gateway-init now.", nil,
			func(l Look, add adder) {
				if l.current() != nil && l.Threads > 0 {
					add(float64(l.Threads))
				}
			}},
		{"gateway_init_gateway_start_time_seconds", "Start of the gateway's process, since the epoch. It is there while that process lives.", nil,
			func(l Look, add adder) { add.time(l.liveGateway().StartedAt) }},
		{"gateway_init_gateway_proven_timestamp_seconds", "First proof of the gateway's process, since the epoch.", nil,
			func(l Look, add adder) { add.time(l.liveGateway().ProvenAt) }},
	}
}

// liveGateway returns what the record says about the gateway's process, if the kernel shows
// that this process lives.
func (l Look) liveGateway() status.Gateway {
	r := l.current()
	if r == nil || l.Checks.Get(operate.CheckGateway).Result != status.Held {
		return status.Gateway{}
	}
	return r.Gateway
}

// time adds t in seconds since the epoch, unless it is nil or zero.
func (add adder) time(t *time.Time, labels ...string) {
	if t != nil && !t.IsZero() {
		add(float64(t.UnixMilli())/1000, labels...)
	}
}
