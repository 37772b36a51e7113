// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"slices"
	"time"
)

// Operations on a running gateway: the rows of the table.
const (
	untilExec  = "restart, until the new gateway's exec"
	untilReply = "restart, until the reply"
	gatewayOwn = "the gateway's own end and start"
	withoutOwn = "restart, until the reply, without the gateway's own"
	statusRow  = "gatewayctl status"
	healthRow  = "gatewayctl health"
	workerRow  = "a worker that proves, from fork to exit"
)

// operations measures operations on a running gateway, in an empty container and in
// one with many processes.
func (b *bench) operations() error {
	took := map[string]map[string]sample{}
	for _, u := range b.builds {
		took[u.name], took[loaded(u.name)] = map[string]sample{}, map[string]sample{}
	}
	const rounds = 5 // of each kind, in turns; one box at a time, because boxes share the kernel's list of processes
	for range rounds {
		for _, u := range b.builds {
			for _, processes := range []int{0, b.counts.processes} {
				name := u.name
				if processes > 0 {
					name = loaded(name)
				}
				if err := b.measureBox(u, processes, rounds, took[name]); err != nil {
					return fmt.Errorf("%s: %w", name, err)
				}
			}
		}
	}
	for _, t := range took {
		t[withoutOwn] = t[untilReply].minus(t[gatewayOwn].median())
	}
	for _, u := range b.builds {
		b.report.add(b.operationsTable(u.name, took))
	}
	b.report.tables[len(b.report.tables)-len(b.builds)].chart = b.operationsChart(took)
	overhead := func(name string) float64 { return took[name][withoutOwn].middle(time.Millisecond) }
	// The quickest workers are the measure: the others waited for the gateway.
	worker := func(name string) float64 { return took[name][workerRow].share(0.1, time.Millisecond) }
	b.report.require(withoutOwn+", of a worker's run (10 %)", "", 2.5, of(overhead(gatewayMode), worker(gatewayMode)), of(overhead(beforeMode), worker(beforeMode)))
	b.report.require(fmt.Sprintf("restart, until the reply, more with %d other processes", b.counts.processes), "ms", 1,
		overhead(loaded(gatewayMode))-overhead(gatewayMode), overhead(loaded(beforeMode))-overhead(beforeMode))
	for _, row := range []string{untilExec, withoutOwn, statusRow, healthRow} {
		b.report.require(row, "ms", 10, took[gatewayMode][row].middle(time.Millisecond), took[beforeMode][row].middle(time.Millisecond))
	}
	return nil
}

// loaded names the box of a build that has other processes.
func loaded(name string) string { return name + ", full" }

func (b *bench) operationsTable(name string, took map[string]map[string]sample) *table {
	t := &table{
		title: "Operations of " + name,
		about: fmt.Sprintf("A restart from the write to the FIFO, with the demo gateway, which is ready as soon as it listens; "+
			"its own time was measured beside, without gateway-init. gatewayctl from fork to end. "+
			"The goal compares with a worker's 10th percentile, because slower ones waited for the gateway. "+
			"%d restarts and %d runs each, empty and with %d unrelated processes of another user in the container, in turns. No peer has an equivalent.",
			b.counts.restarts, b.counts.looks, b.counts.processes),
		head: []string{"", "empty ms", "10 % to 90 %", "full ms", "10 % to 90 %", "full, more"},
	}
	for _, row := range []string{untilExec, untilReply, gatewayOwn, withoutOwn, workerRow, statusRow, healthRow} {
		e, f := took[name][row], took[loaded(name)][row]
		more := number(f.middle(time.Millisecond) - e.middle(time.Millisecond))
		t.add(row, e.mid(time.Millisecond), e.spread(time.Millisecond), f.mid(time.Millisecond), f.spread(time.Millisecond), more)
	}
	return t
}

func (b *bench) operationsChart(took map[string]map[string]sample) *chart {
	c := &chart{file: "restart", title: "Restart until the reply without the gateway's own time, median and 10 % to 90 %", unit: "ms"}
	for _, u := range b.builds {
		c.bar(u.name, took[u.name][withoutOwn], time.Millisecond, u.name == gatewayMode)
		c.bar(loaded(u.name), took[loaded(u.name)][withoutOwn], time.Millisecond, u.name == gatewayMode)
	}
	return c
}

// measureBox does one box's share of the measurements.
func (b *bench) measureBox(u build, processes, rounds int, took map[string]sample) error {
	x, err := b.startBox(u, spec{}, slices.Repeat([]string{"s"}, processes/batch)...)
	if err != nil {
		return err
	}
	defer x.end()
	settle()
	for range b.counts.restarts / rounds {
		if err := b.Err(); err != nil {
			return err
		}
		executed, replied, err := x.restart()
		if err != nil {
			return err
		}
		own, err := x.ownTime()
		if err != nil {
			return fmt.Errorf("the gateway alone: %w", err)
		}
		worker, err := x.worker()
		if err != nil {
			return err
		}
		took[workerRow] = append(took[workerRow], worker)
		took[untilExec] = append(took[untilExec], executed)
		took[untilReply] = append(took[untilReply], replied)
		took[gatewayOwn] = append(took[gatewayOwn], own)
	}
	for range b.counts.looks / rounds {
		for row, verb := range map[string]string{statusRow: "status", healthRow: "health"} {
			if err := b.Err(); err != nil {
				return err
			}
			ns, err := x.gatewayctl(verb)
			if err != nil {
				return err
			}
			took[row] = append(took[row], ns)
		}
	}
	return nil
}
