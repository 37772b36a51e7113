package main

import (
	"bytes"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"os"
	"slices"
	"time"

	"gatewayinit/supervisor/control"
)

// boots measures gateway mode's start beside a bash entrypoint with its duties.
func (b *bench) boots() (*table, error) {
	const script = "bash entrypoint + gosu"
	took := map[string]sample{}
	argvs := map[string][]string{
		gatewayMode: {boxDir + "/gateway-init"},
		script:      append([]string{"/bin/bash", boxDir + "/entrypoint", "gateway"}, gatewayCommand()...),
	}
	contenders := []*peer{{name: gatewayMode}, {name: script}}
	if b.missing["gosu"] {
		contenders = contenders[:1]
	}
	err := b.turns(contenders, b.counts.boots, func(p *peer) error {
		i, err := b.startStaged(argvs[p.name])
		if err != nil {
			return err
		}
		defer i.end()
		at, err := i.record()
		took[p.name] = append(took[p.name], at-i.began)
		return err
	})
	if err != nil {
		return nil, err
	}
	t := &table{
		title: "Start to exec of the gateway, gateway mode",
		about: fmt.Sprintf("From just before the execve of PID 1 to the first instruction of the gateway, which runs as its user with a token that was just minted. "+
			"Medians of %d, in turns. The entrypoint (tests/bench/entrypoint) does what images do for that: openssl, chown, chmod, mv, gosu.", b.counts.boots),
		head: []string{"PID 1", "ms", "10 % to 90 %", "of gateway mode", "goal"},
	}
	own, other := took[gatewayMode].median(), took[script].median()
	for _, p := range contenders {
		s, goal := took[p.name], ""
		if p.name == gatewayMode && other > 0 {
			goal = atMost("15 times faster than bash", 15*float64(own), float64(other))
		}
		t.add(p.name, s.mid(time.Millisecond), s.spread(time.Millisecond), ratio(s.median(), own), goal)
	}
	return t, nil
}

// restart asks PID 1 for a restart and returns how long it took until the new
// gateway was executed, and until the final reply was there.
func (x *box) restart() (executed, replied int64, err error) {
	var random [control.NonceLen / 2]byte
	rand.Read(random[:]) // never fails
	r := control.Request{Nonce: hex.EncodeToString(random[:]), Action: control.Restart}
	frame, err := control.Encode(r)
	if err != nil {
		return 0, 0, err
	}
	sent := now()
	if _, err := x.fifo.Write(frame); err != nil {
		return 0, 0, err
	}
	at, err := x.record()
	if err != nil {
		return 0, 0, err
	}
	if err := x.replies.SetReadDeadline(time.Now().Add(patience)); err != nil {
		return 0, 0, err
	}
	events := make([]byte, 4096)
	for {
		n, err := x.replies.Read(events)
		if err != nil {
			return 0, 0, fmt.Errorf("no reply: %w", err)
		}
		seen := now()
		if !bytes.Contains(events[:n], []byte(r.Nonce)) {
			continue
		}
		data, err := os.ReadFile(x.path(control.Dir + "/" + control.Replies + "/" + r.Nonce))
		if err != nil {
			return 0, 0, err
		}
		reply, err := control.ParseReply(string(data))
		switch {
		case err != nil:
			return 0, 0, err
		case !reply.Final():
		case reply.Outcome != control.OK:
			return 0, 0, fmt.Errorf("restart: %s", bytes.TrimSpace(data))
		default:
			return at - sent, seen - sent, nil
		}
	}
}

// operations measures what is done to a running gateway, in a container that is
// empty and in one with many processes.
func (b *bench) operations() (*table, error) {
	rows := []string{"restart, until the new gateway's exec", "restart, until the reply", "gatewayctl status", "gatewayctl health"}
	took := map[bool]map[string]sample{false: {}, true: {}}
	const rounds = 2 // of each kind, in turns; one box at a time: they share the kernel's list of processes
	for round := range 2 * rounds {
		if err := b.measureBox(round%2 == 1, rounds, rows, took[round%2 == 1]); err != nil {
			return nil, err
		}
	}
	t := &table{
		title: "Operations in gateway mode",
		about: fmt.Sprintf("A restart from the write to the FIFO, with the demo gateway, which is ready at once: its own end and start are in it. gatewayctl from fork to end. "+
			"%d restarts and %d runs each, empty and with %d unrelated processes of another user in the container, in turns. No peer has an equivalent.",
			b.counts.restarts, b.counts.looks, b.counts.processes),
		head: []string{"", "empty ms", "10 % to 90 %", "full ms", "10 % to 90 %", "full of empty", "goal"},
	}
	for _, name := range rows {
		e, f := took[false][name], took[true][name]
		goal := atMost("10 ms", float64(e.median()), 10e6) + "; " + atMost("full 1.3 times", float64(f.median()), 1.3*float64(e.median()))
		t.add(name, e.mid(time.Millisecond), e.spread(time.Millisecond), f.mid(time.Millisecond), f.spread(time.Millisecond), ratio(f.median(), e.median()), goal)
	}
	return t, nil
}

// measureBox does one box's share of the measurements.
func (b *bench) measureBox(loaded bool, rounds int, rows []string, took map[string]sample) error {
	var processes []string
	if loaded {
		processes = slices.Repeat([]string{"s"}, b.counts.processes/batch)
	}
	x, err := b.startBox(processes...)
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
		took[rows[0]] = append(took[rows[0]], executed)
		took[rows[1]] = append(took[rows[1]], replied)
	}
	for range b.counts.looks / rounds {
		for at, verb := range []string{"status", "health"} {
			if err := b.Err(); err != nil {
				return err
			}
			ns, err := x.gatewayctl(verb)
			if err != nil {
				return err
			}
			took[rows[2+at]] = append(took[rows[2+at]], ns)
		}
	}
	return nil
}
