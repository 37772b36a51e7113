// SPDX-License-Identifier: Apache-2.0

package metrics

import (
	"github.com/gateway-init/gateway-init/internal/relaycount"
	"github.com/gateway-init/gateway-init/internal/status"
)

// publishTable has what PID 1 says about the published port.
func publishTable() []row[*status.Publish] {
	return []row[*status.Publish]{
		{"gateway_init_published_port_held", "1 if PID 1 holds the published port. It is there if one is configured.", nil,
			value(func(p *status.Publish) float64 { return truth(p.Problem == "") })},
		{"gateway_init_published_port_proven", "1 if clients of the published port reach a proven gateway. With gateway.listen.pass_fd it is 0.", nil,
			value(func(p *status.Publish) float64 { return truth(p.Proven) })},
		{"gateway_init_relay_state", "1 for the present state of the relay.", []string{"state"},
			func(p *status.Publish, add adder) {
				if p.Relay != nil {
					add.oneOf(p.Relay.State, status.ChildStates())
				}
			}},
		{"gateway_init_relay_restarts_total", "Restarts of the relay.", nil,
			func(p *status.Publish, add adder) {
				if p.Relay != nil {
					add(float64(p.Relay.Restarts))
				}
			}},
	}
}

// relayTable has what the relay has counted. The counts go on when the relay is restarted.
func relayTable() []row[relaycount.Counters] {
	return []row[relaycount.Counters]{
		{"gateway_init_relay_connections", "Clients of the relay now.", nil,
			value(func(c relaycount.Counters) float64 { return float64(c.Active) })},
		{"gateway_init_relay_accepted_connections_total", "Clients that the relay has accepted.", nil,
			value(func(c relaycount.Counters) float64 { return float64(c.Accepted) })},
		{"gateway_init_relay_served_connections_total", "Clients that the relay has connected to a proven gateway.", nil,
			value(func(c relaycount.Counters) float64 { return float64(c.Served) })},
		{"gateway_init_relay_refused_connections_total", "Clients that the relay has not served, by reason.", []string{"reason"},
			func(c relaycount.Counters, add adder) {
				for r := range relaycount.Reasons {
					add(float64(c.Refused[r]), r.String())
				}
			}},
		{"gateway_init_relay_bytes_total", "Bytes that the relay has copied.", []string{"direction"},
			func(c relaycount.Counters, add adder) {
				add(float64(c.ToGateway), "to-gateway")
				add(float64(c.ToClient), "to-client")
			}},
		{"gateway_init_relay_resets_total", "Resets that the relay has passed on.", nil,
			value(func(c relaycount.Counters) float64 { return float64(c.Resets) })},
		{"gateway_init_relay_lives_total", "Proven lives of the gateway that the relay was told.", nil,
			value(func(c relaycount.Counters) float64 { return float64(c.Lives) })},
	}
}
