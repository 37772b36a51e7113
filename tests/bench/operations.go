// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"slices"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/gateway-init/gateway-init/supervisor/control"
)

// restart asks PID 1 for a restart. It returns the time until the new gateway was
// executed, and the time until the final reply.
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

// ownTime returns the gateway's own part of a restart: from its SIGTERM to its
// exit, and from its exec until it listens. It runs beside the box's gateway,
// alone.
func (x *box) ownTime() (took int64, err error) {
	const port = 18790
	x.do(func() {
		null, openErr := os.OpenFile(os.DevNull, os.O_RDWR, 0)
		if err = openErr; err != nil {
			return
		}
		defer null.Close()
		pid, startErr := syscall.ForkExec(boxDir+"/demogateway", []string{"demogateway", "--listen", fmt.Sprintf("127.0.0.1:%d", port)},
			&syscall.ProcAttr{Dir: "/", Env: []string{"OPENCLAW_GATEWAY_TOKEN=x"}, Files: []uintptr{null.Fd(), null.Fd(), null.Fd()}})
		if err = startErr; err != nil {
			return
		}
		began := now() // ForkExec returns after the exec
		for err = errors.New("not yet"); err != nil && now() < began+int64(patience); {
			if err = connect(port); err != nil {
				time.Sleep(50 * time.Microsecond)
			}
		}
		took = now() - began
		ending := now()
		unix.Kill(pid, unix.SIGTERM)
		for again := syscall.EINTR; again == syscall.EINTR; {
			_, waitErr := syscall.Wait4(pid, nil, 0, nil)
			again, _ = waitErr.(syscall.Errno)
		}
		took += now() - ending
	})
	return took, err
}

// connect makes one attempt, from the calling thread's network namespace.
func connect(port int) error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	return unix.Connect(fd, &unix.SockaddrInet4{Port: port, Addr: [4]byte{127, 0, 0, 1}})
}

// Operations on a running gateway: the rows of the table.
const (
	untilExec  = "restart, until the new gateway's exec"
	untilReply = "restart, until the reply"
	gatewayOwn = "of it the gateway's own end and start"
	withoutOwn = "restart, until the reply, without them"
	statusRow  = "gatewayctl status"
	healthRow  = "gatewayctl health"
)

// operations measures operations on a running gateway, in an empty container and in
// one with many processes.
func (b *bench) operations() (*table, error) {
	took := map[bool]map[string]sample{false: {}, true: {}}
	const rounds = 2 // of each kind, in turns; one box at a time, because boxes share the kernel's list of processes
	for round := range 2 * rounds {
		if err := b.measureBox(round%2 == 1, rounds, took[round%2 == 1]); err != nil {
			return nil, err
		}
	}
	for _, t := range took {
		own := t[gatewayOwn].median()
		for _, ns := range t[untilReply] {
			t[withoutOwn] = append(t[withoutOwn], ns-own)
		}
	}
	t := &table{
		title: "Operations in gateway mode",
		about: fmt.Sprintf("A restart from the write to the FIFO, with the demo gateway, which is ready as soon as it listens; "+
			"its own time was measured beside, without gateway-init. gatewayctl from fork to end. "+
			"%d restarts and %d runs each, empty and with %d unrelated processes of another user in the container, in turns. No peer has an equivalent.",
			b.counts.restarts, b.counts.looks, b.counts.processes),
		head: []string{"", "empty ms", "10 % to 90 %", "full ms", "10 % to 90 %", "full of empty", "goal"},
	}
	for _, name := range []string{untilExec, untilReply, gatewayOwn, withoutOwn, statusRow, healthRow} {
		e, f, goal := took[false][name], took[true][name], ""
		if name != gatewayOwn && name != untilReply {
			goal = atMost("10 ms", float64(e.median()), 10e6) + "; " + atMost("full 1.3 times", float64(f.median()), 1.3*float64(e.median()))
		}
		t.add(name, e.mid(time.Millisecond), e.spread(time.Millisecond), f.mid(time.Millisecond), f.spread(time.Millisecond), ratio(f.median(), e.median()), goal)
	}
	return t, nil
}

// measureBox does one box's share of the measurements.
func (b *bench) measureBox(loaded bool, rounds int, took map[string]sample) error {
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
		own, err := x.ownTime()
		if err != nil {
			return fmt.Errorf("the gateway alone: %w", err)
		}
		took[untilExec] = append(took[untilExec], executed)
		took[untilReply] = append(took[untilReply], replied)
		took[gatewayOwn] = append(took[gatewayOwn], own)
	}
	for range b.counts.looks / rounds {
		for name, verb := range map[string]string{statusRow: "status", healthRow: "health"} {
			if err := b.Err(); err != nil {
				return err
			}
			ns, err := x.gatewayctl(verb)
			if err != nil {
				return err
			}
			took[name] = append(took[name], ns)
		}
	}
	return nil
}
