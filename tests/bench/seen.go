// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"os"
	"time"

	"github.com/gateway-init/gateway-init/supervisor/control"
)

// delays are the times after which a slow gateway listens, or is ready.
var delays = []time.Duration{300 * time.Millisecond, 1100 * time.Millisecond, 1900 * time.Millisecond}

// behaviorFile says in a box how the demo gateway behaves.
const behaviorFile = boxHome + "/behavior.json"

// slow is one build with a gateway of one kind.
type slow struct {
	box   *box
	kind  string // "listen" or "ready"
	after time.Duration
}

func (s slow) String() string {
	return fmt.Sprintf("%s, %s after %v", s.box.build, s.kind, s.after)
}

// seen measures how late PID 1 sees that a slow gateway listens, and that it is
// ready.
func (b *bench) seen() error {
	var all []slow
	for _, u := range b.builds {
		x, err := b.startBox(u, spec{env: []string{"DEMO_MISBEHAVE=" + behaviorFile}})
		if err != nil {
			return err
		}
		defer x.end()
		for _, after := range delays {
			all = append(all, slow{x, "listen", after}, slow{x, "ready", after})
		}
	}
	late := map[string]sample{}
	pooled := map[string]sample{} // of all delays
	err := turns(b, all, b.counts.delays, func(s slow) error {
		ns, err := s.lateness()
		late[s.String()] = append(late[s.String()], ns)
		pool := s.box.build.name + s.kind
		pooled[pool] = append(pooled[pool], ns)
		return err
	})
	if err != nil {
		return err
	}
	t := &table{
		title: "Slow gateways: how late they are seen",
		about: fmt.Sprintf("A restart with a gateway that listens, or is ready, only after some time. From that moment, which the gateway writes down, to the reply of the restart, which a whole proof precedes. "+
			"%d restarts each, in turns. The goals are for 90 %% of the restarts of all delays.", b.counts.delays),
		head:  []string{"PID 1", "after", "seen after listen ms", "10 % to 90 %", "seen after ready ms", "10 % to 90 %"},
		chart: &chart{file: "seen", title: "How late a slow gateway is seen, median and 10 % to 90 %", unit: "ms"},
	}
	for _, s := range all {
		if s.kind != "listen" {
			continue
		}
		listen, ready := late[s.String()], late[slow{s.box, "ready", s.after}.String()]
		name, unit := s.box.build.name, time.Millisecond
		t.add(name, s.after.String(), listen.mid(unit), listen.spread(unit), ready.mid(unit), ready.spread(unit))
	}
	for _, u := range b.builds {
		for _, kind := range []string{"listen", "ready"} {
			t.chart.bar(fmt.Sprintf("%s, %s", u, kind), pooled[u.name+kind], time.Millisecond, u.name == gatewayMode)
		}
	}
	b.report.add(t)
	require := func(kind, what string, limit float64) {
		b.report.require(what, "ms", limit, pooled[gatewayMode+kind].share(0.9, time.Millisecond), pooled[beforeMode+kind].share(0.9, time.Millisecond))
	}
	require("listen", "a slow gateway is seen after it listens, 90 %", 25)
	require("ready", "a slow gateway is seen after it is ready, 90 %", 110)
	return nil
}

// lateness restarts the gateway and returns how late it is seen.
func (s slow) lateness() (int64, error) {
	behavior := fmt.Sprintf(`{"stamps":true,"%s_after":"%v"}`, s.kind, s.after)
	if err := os.WriteFile(fmt.Sprintf("/proc/%d/root%s", s.box.pid, behaviorFile), []byte(behavior), 0o644); err != nil {
		return 0, err
	}
	nonce, _, err := s.box.send(control.Restart)
	if err != nil {
		return 0, err
	}
	var at [3]int64 // when it was executed, when it listened, when it was ready
	for i := range at {
		if at[i], err = s.box.record(); err != nil {
			return 0, err
		}
	}
	replied, err := s.box.reply(nonce)
	if s.kind == "listen" {
		return replied - at[1], err
	}
	return replied - at[2], err
}
