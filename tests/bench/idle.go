// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"strconv"
	"time"
)

// after marks the instance that has reaped 1,000 orphans.
const after = " after"

// idle lets every init sleep through the same minute, and then reads its memory.
// PID 1 of gateway mode is among them. Each has two instances: one that has done
// nothing yet, and one after 1,000 orphans.
func (b *bench) idle() error {
	running := map[string]*instance{}
	defer func() { endAll(running) }()
	names, err := b.startIdle(running)
	if err != nil {
		return err
	}
	woken, err := b.wakeups(running)
	if err != nil {
		return err
	}
	t := &table{
		title: "Idle: context switches and memory",
		about: fmt.Sprintf("All at the same time, in %v in which nothing else was done. Context switches of all threads of PID 1, voluntary or not. "+
			"Memory of PID 1 in KiB (smaps_rollup): resident, proportional, private; \"after\" is another instance, after 1,000 orphans came and went. "+
			"Two instances share the file's pages. Gateway mode is with the demo gateway serving, health checks a day apart: each would give memory back that the orphans took.", b.counts.idle),
		head:  []string{"init", "switches", "Rss", "Pss", "private", "switches after", "Rss after", "Pss after", "private after"},
		chart: &chart{file: "memory", title: "Resident memory of PID 1, idle", unit: "KiB"},
	}
	resident := map[string]int64{}
	for _, name := range names {
		cells := []string{name}
		for _, instance := range []string{name, name + after} {
			m, err := running[instance].memory()
			if err != nil {
				return err
			}
			resident[instance] = m.rss
			for _, v := range []int64{woken[instance], m.rss, m.pss, m.private} {
				cells = append(cells, strconv.FormatInt(v, 10))
			}
		}
		t.chart.figure(name, float64(resident[name]), name == ours || name == gatewayMode)
		t.add(cells...)
	}
	b.skipPeers(t, true)
	b.report.add(t)
	b.requireIdle(woken, resident)
	return nil
}

// startIdle starts the instances, and returns the names of their inits.
func (b *bench) startIdle(running map[string]*instance) (names []string, err error) {
	for _, p := range b.reapers() {
		names = append(names, p.name)
		for name, orphans := range pair(p.name) {
			i, err := b.run(p, orphans...)
			if err != nil {
				return nil, err
			}
			running[name] = i
			if len(orphans) == 0 {
				continue
			}
			if _, err := i.record(); err != nil {
				return nil, fmt.Errorf("%s: %w", p.name, err)
			}
		}
	}
	for _, u := range b.builds {
		names = append(names, u.name)
		for name, orphans := range pair(u.name) {
			box, err := b.startBox(u, spec{}, orphans...)
			if err != nil {
				return nil, err
			}
			running[name] = box.leave()
		}
	}
	return names, nil
}

// requireIdle adds the goals, for gateway mode and for plain mode.
func (b *bench) requireIdle(woken, resident map[string]int64) {
	figure := func(of map[string]int64, name string) float64 {
		if v, ok := of[name]; ok {
			return float64(v)
		}
		return absent
	}
	minute := func(name string) float64 { // the busier of both instances
		return max(figure(woken, name), figure(woken, name+after)) * float64(time.Minute) / float64(b.counts.idle)
	}
	b.report.require("wakeups a minute between health checks", "", 3, minute(gatewayMode), minute(beforeMode))
	b.report.require("wakeups a minute in plain mode", "", 3, minute(ours), minute(oursBefore))
	for _, g := range []struct {
		what, name, older string
		limit             float64
	}{
		{"resident when idle", gatewayMode, beforeMode, idleGoal},
		{"resident after 1,000 orphans", gatewayMode + after, beforeMode + after, orphansGoal},
		{"resident when idle, standing limit", gatewayMode, beforeMode, standingGoal},
		{"resident when idle in plain mode, standing limit", ours, oursBefore, standingGoal},
	} {
		b.report.require(g.what, "KiB", g.limit, figure(resident, g.name), figure(resident, g.older))
	}
}

// pair returns the two instances of an init, with the probe's arguments.
func pair(name string) map[string][]string {
	return map[string][]string{name: nil, name + after: {"o", "o"}}
}

// wakeups returns how many context switches each instance had in the minute.
func (b *bench) wakeups(running map[string]*instance) (map[string]int64, error) {
	count := func(sign int64, all map[string]int64) error {
		for name, i := range running {
			n, err := i.switches()
			if err != nil {
				return err
			}
			all[name] += sign * n
		}
		return nil
	}
	all := map[string]int64{}
	if err := b.sleep(2 * time.Second); err != nil { // a late start is no wakeup
		return nil, err
	}
	if err := count(-1, all); err != nil {
		return nil, err
	}
	if err := b.sleep(b.counts.idle); err != nil {
		return nil, err
	}
	return all, count(1, all)
}
