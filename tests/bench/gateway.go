// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"time"
)

// boots measures gateway mode's start beside a bash entrypoint with its duties.
func (b *bench) boots() (*table, error) {
	const script = "bash entrypoint + gosu"
	argvs := map[string][]string{
		gatewayMode: {boxDir + "/gateway-init"},
		script:      append([]string{"/bin/bash", boxDir + "/entrypoint", "gateway"}, gatewayCommand()...),
	}
	contenders := []*peer{{name: gatewayMode}, {name: script}}
	if b.missing["gosu"] {
		contenders = contenders[:1]
	}
	took, err := b.untilFirst(contenders, b.counts.boots, func(p *peer) (*instance, error) { return b.startInBox(argvs[p.name]) })
	if err != nil {
		return nil, err
	}
	t := &table{
		title: "Start to exec of the gateway, gateway mode",
		about: fmt.Sprintf("From just before the execve of PID 1 to the first instruction of the gateway, which runs as its user with a token that was just minted. "+
			"Medians of %d, in turns. The entrypoint (tests/bench/entrypoint) does what images do for that: openssl, chown, chmod, mv, gosu.", b.counts.boots),
		head: []string{"PID 1", "ms", "10 % to 90 %", "of gateway mode", "goal"},
	}
	own, other := took[gatewayMode].median(), took[script].median()
	for _, p := range contenders {
		s, goal := took[p.name], ""
		if p.name == gatewayMode && other > 0 {
			goal = atMost("15 times faster than bash", 15*float64(own), float64(other))
		}
		t.add(p.name, s.mid(time.Millisecond), s.spread(time.Millisecond), ratio(s.median(), own), goal)
	}
	return t, nil
}
