// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"strings"
)

// part is one measurement. It adds tables and goals to the report.
type part struct {
	name    string
	measure func(*bench) error
}

// parts returns all measurements in order.
func parts() []part {
	return []part{
		{"boots", (*bench).boots}, {"counts", (*bench).traces}, {"restarts", (*bench).operations}, {"seen", (*bench).seen},
		{"idle", (*bench).idle}, {"health", (*bench).health}, {"client", (*bench).client},
		{"starts", (*bench).starts}, {"signals", (*bench).signals}, {"storm", (*bench).storm}, {"sizes", (*bench).sizes},
		{"relay", (*bench).relays},
	}
}

func partNames() string {
	var names []string
	for _, p := range parts() {
		names = append(names, p.name)
	}
	return strings.Join(names, ", ")
}

// turns runs f n times for each contender, in turns. Each round begins with another
// one.
func turns[T fmt.Stringer](b *bench, of []T, n int, f func(T) error) error {
	for round := range n {
		for at := range of {
			if err := b.Err(); err != nil {
				return err
			}
			who := of[(round+at)%len(of)]
			if err := f(who); err != nil {
				return fmt.Errorf("%s: %w", who, err)
			}
		}
	}
	return nil
}

// untilFirst measures n times for each, in turns, the time from the start of an
// instance by launch to the first instruction of its probe.
func untilFirst[T fmt.Stringer](b *bench, of []T, n int, launch func(T) (*instance, error)) (map[string]sample, error) {
	took := map[string]sample{}
	err := turns(b, of, n, func(who T) error {
		i, err := launch(who)
		if err != nil {
			return err
		}
		defer i.end()
		at, err := i.record()
		took[who.String()] = append(took[who.String()], at-i.began)
		return err
	})
	return took, err
}
