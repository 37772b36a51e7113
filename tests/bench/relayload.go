// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os/exec"
	"regexp"
	"slices"
	"strconv"
	"syscall"
	"time"
)

// load is one way to use a relay. Its figure is larger where the relay is better, except
// for a round trip.
type load struct {
	name    string
	measure func(*relayBench, *route) (float64, error)
}

// Loads that goals refer to.
const (
	bulkUp   = "bulk up, Gbit/s"
	bulkDown = "bulk down, Gbit/s"
	kept     = "requests/s, 16 kept"
	fresh    = "requests/s, new"
	pingPong = "ping-pong, µs"
)

func loads() []load {
	return []load{
		{bulkUp, func(r *relayBench, w *route) (float64, error) { return r.bulk(w) }},
		{bulkDown, func(r *relayBench, w *route) (float64, error) { return r.bulk(w, "-R") }},
		{kept, func(r *relayBench, w *route) (float64, error) { return r.requests(w) }},
		{fresh, func(r *relayBench, w *route) (float64, error) { return r.requests(w, "-H", "Connection: close") }},
		{pingPong, func(r *relayBench, w *route) (float64, error) { return r.pingPong(w) }},
	}
}

// output runs a client in the namespace.
func (r *relayBench) output(name string, args ...string) (out []byte, err error) {
	var b bytes.Buffer
	cmd := exec.Command(name, args...)
	cmd.Stdout = &b
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	r.inside.do(func() { err = cmd.Start() })
	if err == nil {
		err = cmd.Wait()
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w: %s", name, err, b.Bytes())
	}
	return b.Bytes(), nil
}

// bulk returns the Gbit/s of one connection. After a run iperf3 takes no new one for a
// moment.
func (r *relayBench) bulk(w *route, args ...string) (float64, error) {
	var failed error
	for range 20 {
		out, err := r.output("iperf3", append([]string{"-J", "-c", "127.0.0.1", "-p", fmt.Sprint(w.ports[bulkPort]), "-t", fmt.Sprint(bulkTime.Seconds())}, args...)...)
		var result struct {
			End struct {
				Received struct {
					Rate float64 `json:"bits_per_second"`
				} `json:"sum_received"`
			}
		}
		if err == nil {
			err = json.Unmarshal(out, &result)
		}
		if err == nil {
			return result.End.Received.Rate / 1e9, nil
		}
		failed = err
		if err := r.sleep(100 * time.Millisecond); err != nil {
			return 0, err
		}
	}
	return 0, failed
}

var (
	wrkRate   = regexp.MustCompile(`Requests/sec:\s+([0-9.]+)`)
	wrkErrors = regexp.MustCompile(`Socket errors: .*|Non-2xx.*`)
)

// requests returns the small requests that 16 clients have answered in a second.
func (r *relayBench) requests(w *route, args ...string) (float64, error) {
	out, err := r.output("wrk", append([]string{"-t1", "-c16", "-d" + bulkTime.String(), fmt.Sprintf("http://127.0.0.1:%d/", w.ports[httpPort])}, args...)...)
	if err != nil {
		return 0, err
	}
	if bad := wrkErrors.Find(out); bad != nil {
		return 0, fmt.Errorf("wrk: %s", bad)
	}
	m := wrkRate.FindSubmatch(out)
	if m == nil {
		return 0, fmt.Errorf("wrk: %s", out)
	}
	return strconv.ParseFloat(string(m[1]), 64)
}

// serveEcho returns what comes, on each connection.
func serveEcho(l net.Listener) {
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		go func() {
			defer c.Close()
			for b := make([]byte, 4096); ; {
				n, err := c.Read(b)
				if err == nil {
					_, err = c.Write(b[:n])
				}
				if err != nil {
					return
				}
			}
		}()
	}
}

func (r *relayBench) dial(w *route) (c net.Conn, err error) {
	r.inside.do(func() { c, err = net.Dial("tcp4", loopback(w.ports[echoPort]).String()) })
	return c, err
}

// trips is the number of round trips of one measurement.
const trips = 2000

// pingPong returns the median of the round trips of small messages, as of a WebSocket.
func (r *relayBench) pingPong(w *route) (float64, error) {
	c, err := r.dial(w)
	if err != nil {
		return 0, err
	}
	defer c.Close()
	var took sample
	for message := make([]byte, 64); len(took) < trips; {
		began := now()
		if _, err := c.Write(message); err != nil {
			return 0, err
		}
		if _, err := io.ReadFull(c, message); err != nil {
			return 0, err
		}
		took = append(took, now()-began)
	}
	return took.middle(time.Microsecond), nil
}

// throughput makes the table of all loads.
func (r *relayBench) throughput() error {
	got := map[string]map[string][]float64{}
	for _, l := range loads() {
		got[l.name] = map[string][]float64{}
		if err := turns(r.bench, r.routes, r.counts.relays, func(w *route) error {
			v, err := l.measure(r, w)
			got[l.name][w.name] = append(got[l.name][w.name], v)
			return err
		}); err != nil {
			return fmt.Errorf("%s: %w", l.name, err)
		}
	}
	t := &table{
		title: "The relay beside other relays",
		about: fmt.Sprintf("Client, relay and server are on this machine and share its processors. gateway-relay proves each connection; the others prove nothing. "+
			"Bulk is iperf3 with one connection. Requests are wrk's with 16 clients, of nginx, which answers them itself: on kept connections, and each on a new one. "+
			"Ping-pong is the round trip of 64 bytes on one connection, as of a WebSocket. nginx has one worker, as gateway-relay has one thread. Medians of %d, in turns.", r.counts.relays),
		head: []string{"route"},
	}
	for _, l := range loads() {
		t.head = append(t.head, l.name)
	}
	for _, w := range r.routes {
		cells := []string{w.name}
		for _, l := range loads() {
			cells = append(cells, number(middle(got[l.name][w.name])))
		}
		t.add(cells...)
	}
	for program, name := range map[string]string{"socat": viaSocat} {
		if r.missing[program] {
			t.skip(name, notInstalled(program))
		}
	}
	r.report.add(t)
	for _, g := range []struct {
		what, load, peer string
		limit            float64
	}{
		{"bulk up, direct of gateway-relay", bulkUp, direct, 2},
		{"bulk down, direct of gateway-relay", bulkDown, direct, 2},
		{"requests on kept connections, nginx stream of gateway-relay", kept, viaNginx, 1.25},
		{"requests on new connections, nginx stream of gateway-relay", fresh, viaNginx, 1.67},
	} {
		r.report.require(g.what, "", g.limit, of(middle(got[g.load][g.peer]), middle(got[g.load][viaRelay])), absent)
	}
	return nil
}

// middle returns the median, or absent.
func middle(values []float64) float64 {
	if len(values) == 0 {
		return absent
	}
	return slices.Sorted(slices.Values(values))[len(values)/2]
}

// idleConnections measures the memory of relays with a thousand connections that were
// used once.
func (r *relayBench) idleConnections() error {
	t := &table{
		title: fmt.Sprintf("Memory of a relay with %d idle connections", idleConns),
		about: "Resident memory of all processes of the relay in KiB, after one exchange on each connection.",
		head:  []string{"relay", "Rss"},
	}
	rss := absent
	for _, w := range r.routes {
		if w.name == direct || w.name == viaSocat { // socat has a process for each
			continue
		}
		kib, err := r.idleRSS(w)
		if err != nil {
			return fmt.Errorf("%s: %w", w.name, err)
		}
		if w.name == viaRelay {
			rss = float64(kib)
		}
		t.add(w.name, fmt.Sprint(kib))
	}
	r.report.add(t)
	r.report.require(fmt.Sprintf("resident with %d idle connections", idleConns), "KiB", 16*1024, rss, absent)
	return nil
}

func (r *relayBench) idleRSS(w *route) (kib int64, err error) {
	var all []net.Conn
	defer func() {
		for _, c := range all {
			c.Close()
		}
	}()
	for range idleConns {
		c, err := r.dial(w)
		if err != nil {
			return 0, err
		}
		all = append(all, c)
		if _, err := c.Write([]byte("x")); err != nil {
			return 0, err
		}
		if _, err := io.ReadFull(c, make([]byte, 1)); err != nil {
			return 0, err
		}
	}
	for _, pid := range descendants(w.pids[slices.Index(servers, uint16(echoPort))]) {
		m, err := (&instance{pid: pid}).memory()
		if err != nil {
			return 0, err
		}
		kib += m.rss
	}
	return kib, nil
}
