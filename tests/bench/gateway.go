// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"time"
)

// script is the contender of gateway mode.
const script = "bash entrypoint + gosu"

// bootCPUs are the numbers of CPUs that a boot is measured on.
var bootCPUs = []int{1, 2}

// way is one way to boot into a gateway.
type way struct {
	who  string
	argv []string
	cpus int
}

// String names the way among those of all numbers of CPUs.
func (w way) String() string { return bootName(w.who, w.cpus) }

func bootName(who string, cpus int) string {
	if cpus == 1 {
		return who + ", 1 CPU"
	}
	return fmt.Sprintf("%s, %d CPUs", who, cpus)
}

// ways returns the available ways to boot on so many CPUs.
func (b *bench) ways(cpus int) (all []way) {
	for _, u := range b.builds {
		all = append(all, way{u.name, []string{u.program("gateway-init")}, cpus})
	}
	if !b.missing["gosu"] {
		all = append(all, way{script, append([]string{"/bin/bash", boxDir + "/entrypoint", "gateway"}, gatewayCommand()...), cpus})
	}
	return all
}

// boots measures gateway mode's start beside a bash entrypoint with its duties.
func (b *bench) boots() error {
	var all []way
	for _, cpus := range bootCPUs {
		all = append(all, b.ways(cpus)...)
	}
	took, err := untilFirst(b, all, b.counts.boots, func(w way) (*instance, error) {
		return b.startInBox(spec{argv: w.argv, cpus: w.cpus})
	})
	if err != nil {
		return err
	}
	t := &table{
		title: "Start to exec of the gateway, gateway mode",
		about: fmt.Sprintf("From just before the execve of PID 1 to the first instruction of the gateway, which runs as its user with a token that was just minted. "+
			"Medians of %d, in turns. The entrypoint (tests/bench/entrypoint) does what images do for that: openssl, chown, chmod, mv, gosu.", b.counts.boots),
		head:  []string{"PID 1", "ms", "10 % to 90 %", "of bash"},
		chart: &chart{file: "boot", title: "Start to exec of the gateway, median and 10 % to 90 %", unit: "ms"},
	}
	for _, w := range all {
		s := took[w.String()]
		t.add(w.String(), s.mid(time.Millisecond), s.spread(time.Millisecond), ratio(s.median(), took[bootName(script, w.cpus)].median()))
		t.chart.bar(w.String(), s, time.Millisecond, w.who == gatewayMode)
	}
	if b.missing["gosu"] {
		t.skip(script, notInstalled("gosu"))
	}
	b.report.add(t)
	for _, cpus := range bootCPUs {
		bash := took[bootName(script, cpus)].middle(time.Millisecond)
		b.report.require(bootName("boot in gateway mode, of bash", cpus), "", 0.45,
			of(took[bootName(gatewayMode, cpus)].middle(time.Millisecond), bash), of(took[bootName(beforeMode, cpus)].middle(time.Millisecond), bash))
	}
	return nil
}
