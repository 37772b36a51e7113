// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"slices"
	"time"

	"golang.org/x/sys/unix"
)

// starts measures from just before the clone of PID 1 to the first instruction
// of its child.
func (b *bench) starts() error {
	peers, _ := b.available()
	took, err := untilFirst(b, peers, b.counts.starts, func(p *peer) (*instance, error) {
		argv, err := b.argv(p)
		if err != nil {
			return nil, err
		}
		return b.startPlain(argv)
	})
	if err != nil {
		return err
	}
	t := &table{
		title: "Start to exec of the child, plain mode",
		about: fmt.Sprintf("From just before clone(2) of PID 1, in a PID namespace of its own, to the child's first instruction. "+
			"Medians of %d, in turns. \"no init\" is the child as PID 1: what clone and execve cost by themselves; the column \"net\" is without it.", b.counts.starts),
		head:  []string{"init", "ms", "10 % to 90 %", "net ms", "of tini", "net of tini"},
		chart: &chart{file: "start", title: "Start to exec of the child, median and 10 % to 90 %", unit: "ms"},
	}
	base, peer := took[noInit].median(), took[tini].median()
	for _, p := range peers {
		s := took[p.name]
		t.chart.bar(p.name, s, time.Millisecond, p.program == ours)
		t.add(p.name, s.mid(time.Millisecond), s.spread(time.Millisecond), in(s.median()-base, time.Millisecond),
			ratio(s.median(), peer), ratio(s.median()-base, peer-base))
	}
	b.skipPeers(t, false)
	b.report.add(t)
	b.report.require("start in plain mode, of tini", "", 1.6, ofTini(took, ours), ofTini(took, oursBefore))
	return nil
}

// ofTini returns the ratio of a peer's median to tini's.
func ofTini(took map[string]sample, name string) float64 {
	return of(took[name].middle(one), took[tini].middle(one))
}

// signals measures from just before kill(2) to PID 1 until the child has the
// signal.
func (b *bench) signals() error {
	took := map[string]sample{}
	running := map[string]*instance{}
	defer func() { endAll(running) }()
	var heard []*peer
	for _, p := range b.inits() {
		if p.mute {
			continue
		}
		i, err := b.run(p)
		if err != nil {
			return err
		}
		running[p.name] = i
		heard = append(heard, p)
	}
	settle()
	err := turns(b, heard, b.counts.signals, func(p *peer) error {
		i := running[p.name]
		time.Sleep(100 * time.Microsecond) // both sleep again
		sent := now()
		if err := unix.Kill(i.pid, unix.SIGUSR1); err != nil {
			return err
		}
		at, err := i.record()
		took[p.name] = append(took[p.name], at-sent)
		return err
	})
	if err != nil {
		return err
	}
	t := &table{
		title: "Signal forwarding",
		about: fmt.Sprintf("From just before kill(2) to PID 1 until the child has the signal (rt_sigtimedwait). %d signals each, in turns. "+
			"s6-svscan forwards none.", b.counts.signals),
		head: []string{"init", "p50 µs", "10 % to 90 %", "p99 µs", "p50 of tini"},
	}
	peer := took[tini].median()
	for _, p := range b.inits() {
		s := took[p.name]
		t.add(p.name, s.mid(time.Microsecond), s.spread(time.Microsecond), s.at(0.99, time.Microsecond), ratio(s.median(), peer))
	}
	b.skipPeers(t, true)
	b.report.add(t)
	b.report.require("signal p50 in plain mode, of tini", "", 1.15, ofTini(took, ours), ofTini(took, oursBefore))
	return nil
}

// run starts the probe with args under a peer and waits until it runs.
func (b *bench) run(p *peer, args ...string) (*instance, error) {
	argv, err := b.argv(p, args...)
	if err != nil {
		return nil, err
	}
	i, err := b.startPlain(argv)
	if err != nil {
		return nil, err
	}
	if _, err := i.record(); err != nil {
		i.end()
		return nil, fmt.Errorf("%s: %w", p.name, err)
	}
	return i, nil
}

func endAll(running map[string]*instance) {
	for _, i := range running {
		i.end()
	}
}

// storm measures how long orphans take from the first fork to the last reaping, and
// how much of that PID 1 was on a CPU.
func (b *bench) storm() error {
	wall, cpu := map[string]sample{}, map[string]sample{}
	batches := slices.Repeat([]string{"o"}, b.counts.orphans/batch)
	err := turns(b, b.reapers(), b.counts.storms, func(p *peer) error {
		argv, err := b.argv(p, batches...)
		if err != nil {
			return err
		}
		i, err := b.startPlain(argv)
		if err != nil {
			return err
		}
		defer i.end()
		began, err := i.record()
		if err != nil {
			return err
		}
		before, err := i.cpu()
		if err != nil {
			return err
		}
		ended, err := i.record()
		if err != nil {
			return err
		}
		after, err := i.cpu()
		wall[p.name] = append(wall[p.name], ended-began)
		cpu[p.name] = append(cpu[p.name], after-before)
		return err
	})
	if err != nil {
		return err
	}
	t := &table{
		title: "Zombie storm",
		about: fmt.Sprintf("%d orphans in batches of %d, from the first fork until PID 1 has reaped the last; medians of %d, in turns. "+
			"CPU is PID 1's own (schedstat). Most of the wall time is the forks'.", len(batches)*batch, batch, b.counts.storms),
		head:  []string{"init", "wall ms", "10 % to 90 %", "of tini", "CPU ms", "CPU of tini"},
		chart: &chart{file: "storm", title: fmt.Sprintf("CPU of PID 1 for %d orphans, median and 10 %% to 90 %%", len(batches)*batch), unit: "ms"},
	}
	for _, p := range b.reapers() {
		s, c := wall[p.name], cpu[p.name]
		t.chart.bar(p.name, c, time.Millisecond, p.name == ours)
		t.add(p.name, s.mid(time.Millisecond), s.spread(time.Millisecond), ratio(s.median(), wall[tini].median()),
			c.mid(time.Millisecond), ratio(c.median(), cpu[tini].median()))
	}
	b.skipPeers(t, true)
	b.report.add(t)
	what := fmt.Sprintf("%d zombies, ", len(batches)*batch)
	b.report.require(what+"wall time, of tini", "", 1.02, ofTini(wall, ours), ofTini(wall, oursBefore))
	b.report.require(what+"CPU, of tini", "", 1.65, ofTini(cpu, ours), ofTini(cpu, oursBefore))
	return nil
}
