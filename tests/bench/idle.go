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
func (b *bench) idle() (*table, error) {
	var names []string
	running := map[string]*instance{}
	defer func() { endAll(running) }()
	for _, p := range b.inits() {
		if p.program == "" {
			continue
		}
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
	names = append(names, gatewayMode)
	for name, orphans := range pair(gatewayMode) {
		box, err := b.startBox(orphans...)
		if err != nil {
			return nil, err
		}
		running[name] = box.leave()
	}
	woken, err := b.wakeups(running)
	if err != nil {
		return nil, err
	}
	t := &table{
		title: "Idle: context switches and memory",
		about: fmt.Sprintf("All at the same time, in %v in which nothing else was done. Context switches of all threads of PID 1, voluntary or not. "+
			"Memory of PID 1 in KiB (smaps_rollup): resident, proportional, private; \"after\" is another instance, after 1,000 orphans came and went. "+
			"Two instances share the file's pages. Gateway mode is with the demo gateway serving, health checks a day apart: each would give memory back that the orphans took.", b.counts.idle),
		head: []string{"init", "switches", "Rss", "Pss", "private", "switches after", "Rss after", "Pss after", "private after", "goal"},
	}
	for _, name := range names {
		cells, largest := []string{name}, int64(0)
		for _, instance := range []string{name, name + after} {
			m, err := running[instance].memory()
			if err != nil {
				return nil, err
			}
			largest = max(largest, m.rss)
			for _, v := range []int64{woken[instance], m.rss, m.pss, m.private} {
				cells = append(cells, strconv.FormatInt(v, 10))
			}
		}
		goal := ""
		if name == ours || name == gatewayMode {
			goal = atMost("no switch", float64(woken[name]+woken[name+after]), 0) + "; " + atMost("4 MiB", float64(largest), 4096)
		}
		t.add(append(cells, goal)...)
	}
	return t, nil
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
