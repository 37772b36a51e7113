package main

import (
	"fmt"
	"slices"
	"strconv"
	"time"
)

// idle lets every init sleep through the same minute, and then looks at its
// memory; the gateway mode's PID 1 is among them.
func (b *bench) idle() (*table, error) {
	running := map[string]*instance{}
	defer func() { endAll(running) }()
	var names []string
	keep := func(name string, i *instance, err error) error {
		if err == nil {
			running[name] = i
			names = append(names, name)
		}
		return err
	}
	for _, p := range b.inits() {
		if p.program == "" {
			continue
		}
		i, err := b.run(p)
		if err := keep(p.name, i, err); err != nil {
			return nil, err
		}
		if i, err = b.run(p, "o", "o"); err != nil { // 1,000 children that end
			return nil, err
		}
		running[p.name+after] = i
		if _, err := i.record(); err != nil {
			return nil, fmt.Errorf("%s: %w", p.name, err)
		}
	}
	box, err := b.startBox(false)
	if err == nil {
		err = keep(gatewayMode, box.instance, nil)
	}
	if err != nil {
		return nil, err
	}
	time.Sleep(2 * time.Second) // what starts late is no wakeup
	before, err := count(running)
	if err != nil {
		return nil, err
	}
	if err := b.sleep(b.counts.idle); err != nil {
		return nil, err
	}
	woken, err := count(running)
	if err != nil {
		return nil, err
	}
	t := &table{
		title: "Idle: context switches and memory",
		about: fmt.Sprintf("All at the same time, in %v in which nothing else was done. Context switches of all threads of PID 1, voluntary or not. "+
			"Memory of PID 1 in KiB (smaps_rollup): resident, proportional, private; the second three after 1,000 orphans came and went. "+
			"In gateway mode with the demo gateway serving, health checks a day apart.", b.counts.idle),
		head: []string{"init", "switches", "Rss", "Pss", "private", "Rss after", "Pss after", "private after", "goal"},
	}
	for _, name := range names {
		cells := []string{name, strconv.FormatInt(woken[name]-before[name], 10)}
		idle, err := running[name].memory()
		if err != nil {
			return nil, err
		}
		cells = append(cells, kib(idle)...)
		largest := idle.rss
		if i := running[name+after]; i != nil {
			m, err := i.memory()
			if err != nil {
				return nil, err
			}
			cells = append(cells, kib(m)...)
			largest = max(largest, m.rss)
		} else {
			cells = append(cells, none, none, none)
		}
		goal := ""
		if name == ours || name == gatewayMode {
			goal = atMost("no switch", float64(woken[name]-before[name]), 0) + "; " + atMost("4 MiB", float64(largest), 4096)
		}
		t.add(append(cells, goal)...)
	}
	return t, nil
}

// after marks the instance that has had its 1,000 orphans.
const after = " after"

func count(running map[string]*instance) (map[string]int64, error) {
	all := map[string]int64{}
	for name, i := range running {
		n, err := i.switches()
		if err != nil {
			return nil, err
		}
		all[name] = n
	}
	return all, nil
}

func kib(m memory) []string {
	return slices.Collect(func(yield func(string) bool) {
		for _, v := range []int64{m.rss, m.pss, m.private} {
			if !yield(strconv.FormatInt(v, 10)) {
				return
			}
		}
	})
}
