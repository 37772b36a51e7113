// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"regexp"
	"time"
)

// Rows of the table of counts.
const (
	systemCalls = "system calls"
	faults      = "page faults"
	threads     = "threads and processes made"
	switches    = "context switches"
	collections = "collections"
)

// counted are the rows that the kernel counts.
var counted = []string{systemCalls, faults, threads, switches}

// countLimits are the goals.
var countLimits = map[string]float64{systemCalls: 1500, faults: 600, collections: 0}

// bootEvents returns the events of these rows. A kernel without tracepoints has only
// some; the note says so.
func bootEvents() (events map[string]event, note string) {
	events = map[string]event{faults: pageFault, switches: contextSwitch}
	for row, name := range map[string]string{systemCalls: "raw_syscalls/sys_enter", threads: "sched/sched_process_fork"} {
		e, err := tracepoint(name)
		if err != nil {
			note = fmt.Sprintf(" What this kernel does not count has a dash: %v.", err)
			continue
		}
		events[row] = e
	}
	return events, note
}

// traces counts what a boot does until the gateway's exec.
func (b *bench) traces() error {
	events, note := bootEvents()
	found := map[string]map[string]sample{}
	ways := b.ways(bootCPUs[len(bootCPUs)-1])
	for _, w := range ways {
		found[w.who] = map[string]sample{}
	}
	err := turns(b, ways, b.counts.traced, func(w way) error {
		if err := b.trace(w, events, found[w.who]); err != nil || w.who == script {
			return err
		}
		n, err := b.collections(w)
		found[w.who][collections] = append(found[w.who][collections], n)
		return err
	})
	if err != nil {
		return err
	}
	t := &table{
		title: "Counts until the exec of the gateway",
		about: fmt.Sprintf("On %d CPUs, from the execve of PID 1 to the first instruction of the gateway, in all threads and processes of the container, by the kernel's tracepoints and counters. "+
			"Medians of %d, in turns. Collections are Go's, in PID 1, which ended before that moment (GODEBUG=gctrace=1, in other boots).", bootCPUs[len(bootCPUs)-1], b.counts.traced) + note,
		head: []string{""},
	}
	for _, w := range ways {
		t.head = append(t.head, w.who, "10 % to 90 %")
	}
	for _, row := range append(counted, collections) {
		cells := []string{row}
		for _, w := range ways {
			s := found[w.who][row]
			cells = append(cells, s.mid(one), s.spread(one))
		}
		t.add(cells...)
	}
	b.report.add(t)
	for _, row := range append(counted, collections) {
		limit, ok := countLimits[row]
		if !ok {
			continue
		}
		q := 0.5
		if limit == 0 {
			q = 1 // none in any boot
		}
		b.report.require(row+" until the gateway's exec", "", limit, found[gatewayMode][row].share(q, one), found[beforeMode][row].share(q, one))
	}
	return nil
}

// trace boots once and adds its counts.
func (b *bench) trace(w way, events map[string]event, to map[string]sample) error {
	stdin, stdinEnd, err := os.Pipe()
	if err != nil {
		return err
	}
	defer stdin.Close()
	defer stdinEnd.Close()
	i, err := b.startInBox(spec{argv: w.argv, cpus: w.cpus, stdin: stdin})
	if err != nil {
		return err
	}
	defer i.end()
	r := recorder{}
	defer r.close()
	for name, e := range events {
		if err := r.record(name, e, i.pid, 512, true); err != nil {
			return err
		}
	}
	if _, err := stdinEnd.Write([]byte{0}); err != nil {
		return err
	}
	at, err := i.record()
	if err != nil {
		return err
	}
	for name := range events {
		times, err := r.times(name)
		if err != nil {
			return err
		}
		to[name] = append(to[name], times.until(at))
	}
	return nil
}

// collections boots once and returns how many collections ended before the gateway's
// exec. The text of PID 1 and the gateway's record come through one pipe, in order.
func (b *bench) collections(w way) (int64, error) {
	i, err := b.startInBox(spec{argv: w.argv, cpus: w.cpus, env: []string{"GODEBUG=gctrace=1"}, mixed: true})
	if err != nil {
		return 0, err
	}
	defer i.end()
	if err := i.out.SetReadDeadline(time.Now().Add(patience)); err != nil {
		return 0, err
	}
	var text []byte
	for next := make([]byte, 4096); bytes.IndexByte(text, 0) < 0; {
		n, err := i.out.Read(next)
		if err == io.EOF || n == 0 {
			return 0, fmt.Errorf("no record of the child: %w", err)
		}
		text = append(text, next[:n]...)
	}
	return ended(text), nil
}

var collection = regexp.MustCompile(`(?m)^gc \d+ @`)

// ended returns how many collections ended before the first record in the text. A
// record has bytes that are zero, and a text has none.
func ended(text []byte) int64 {
	text, _, _ = bytes.Cut(text, []byte{0})
	return int64(len(collection.FindAll(text, -1)))
}
