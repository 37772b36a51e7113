// SPDX-License-Identifier: Apache-2.0

package main

import (
	"debug/elf"
	"fmt"
	"os"
)

// Limits of memory and of files, in KiB. A file or an idle PID 1 must never be
// larger than the standing limit.
const (
	idleGoal     = 3 * 1024
	orphansGoal  = 4.5 * 1024
	fileGoal     = 3.5 * 1024
	standingGoal = 4 * 1024
)

// sizes makes the table of binaries.
func (b *bench) sizes() error {
	t := &table{title: "Binary size", about: "The file of PID 1 alone; a dynamic one needs the C library beside it.",
		head: []string{"init", "KiB", "linked"}}
	sizes := map[string]float64{ours: absent, oursBefore: absent}
	for _, p := range b.reapers() {
		file := b.where(p.program)
		info, err := os.Stat(file)
		if err != nil {
			return err
		}
		linked := "statically"
		if e, err := elf.Open(file); err == nil {
			if e.Section(".interp") != nil {
				linked = "dynamically"
			}
			e.Close()
		}
		kib := (info.Size() + 1023) / 1024
		sizes[p.name] = float64(kib)
		t.add(p.name, fmt.Sprint(kib), linked)
	}
	b.skipPeers(t, true)
	b.report.add(t)
	b.report.require("file of PID 1", "KiB", fileGoal, sizes[ours], sizes[oursBefore])
	b.report.require("file of PID 1, standing limit", "KiB", standingGoal, sizes[ours], sizes[oursBefore])
	return nil
}
