// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"time"
)

// health measures what a health check costs PID 1.
func (b *bench) health() error {
	t := &table{
		title: "A health check",
		about: fmt.Sprintf("Each of %d checks, %s apart, of the demo gateway: context switches of all threads of PID 1, voluntary or not, and their CPU (schedstat). "+
			"The worker's own are not in it. The mean has what PID 1 does only at some checks.", b.counts.checks, healthOften),
		head: []string{"PID 1", "switches, mean", "median", "10 % to 90 %", "CPU ms, mean", "median", "10 % to 90 %"},
	}
	switched, cpu := map[string]sample{}, map[string]sample{}
	for _, u := range b.builds {
		x, err := b.startBox(u, spec{argv: []string{"--config", healthConfig}})
		if err != nil {
			return err
		}
		err = b.checks(x, switched, cpu)
		x.end()
		if err != nil {
			return fmt.Errorf("%s: %w", u, err)
		}
		s, c := switched[u.name], cpu[u.name]
		t.add(u.name, number(s.mean(one)), s.mid(one), s.spread(one), number(c.mean(time.Millisecond)), c.mid(time.Millisecond), c.spread(time.Millisecond))
	}
	b.report.add(t)
	b.report.require("context switches of a health check", "", 50, switched[gatewayMode].mean(one), switched[beforeMode].mean(one))
	b.report.require("CPU of a health check", "ms", 3, cpu[gatewayMode].mean(time.Millisecond), cpu[beforeMode].mean(time.Millisecond))
	return nil
}

// checks adds the cost of each check in a box.
func (b *bench) checks(x *box, switched, cpu map[string]sample) error {
	var woken, used int64
	for round := range b.counts.checks + 3 {
		if err := b.nextCheck(x); err != nil {
			return err
		}
		w, err := x.switches()
		if err != nil {
			return err
		}
		u, err := x.cpu()
		if err != nil {
			return err
		}
		if round >= 3 { // the first ones are part of the start
			switched[x.build.name] = append(switched[x.build.name], w-woken)
			cpu[x.build.name] = append(cpu[x.build.name], u-used)
		}
		woken, used = w, u
	}
	return nil
}

// nextCheck waits until PID 1 has recorded another health check and sleeps again.
func (b *bench) nextCheck(x *box) error {
	before, err := x.checkedAt()
	for end := time.Now().Add(patience); err == nil && time.Now().Before(end); {
		if err := b.sleep(20 * time.Millisecond); err != nil {
			return err
		}
		var at time.Time
		if at, err = x.checkedAt(); err == nil && at.After(before) {
			return b.sleep(100 * time.Millisecond)
		}
	}
	return errors.Join(errors.New("no health check"), err)
}

func (x *box) checkedAt() (time.Time, error) {
	r, err := x.status()
	if err != nil || r.Health.At == nil {
		return time.Time{}, err
	}
	return *r.Health.At, nil
}
