// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/gateway-init/gateway-init/internal/proven"
	"github.com/gateway-init/gateway-init/internal/testenv"
	"github.com/gateway-init/gateway-init/tests/relaybox"
)

// Names of the routes from a client to a server.
const (
	direct    = "direct"
	viaRelay  = "gateway-relay"
	viaNginx  = "nginx stream"
	viaSocat  = "socat"
	bulkTime  = time.Second // of one iperf3 or wrk
	idleConns = 1000
)

// streamModule is what nginx needs to be a relay.
const streamModule = "/usr/lib/nginx/modules/ngx_stream_module.so"

// route is a relay in front of three servers, or none.
type route struct {
	name  string
	ports map[uint16]uint16 // of the server, to that of the route
	pids  []int             // of the relay's processes, in the order of the servers
}

func (w *route) String() string { return w.name }

// Ports of the servers.
const (
	bulkPort = 5001 // iperf3
	httpPort = 5002 // nginx
	echoPort = 5003 // this process
)

// relayBench is the namespace of the servers, the routes and the clients.
type relayBench struct {
	*bench
	inside *thread // in the namespace
	ends   []func()
	routes []*route
	echo   net.Listener
}

// relays measures the relay with its proof beside a direct connection and two other
// relays, which prove nothing.
func (b *bench) relays() error {
	r := &relayBench{bench: b}
	defer func() {
		for i := len(r.ends) - 1; i >= 0; i-- {
			r.ends[i]()
		}
	}()
	var err error
	if r.inside, err = newThread(func() error { return errors.Join(unix.Unshare(unix.CLONE_NEWNET), testenv.Loopback()) }); err != nil {
		return err
	}
	r.ends = append(r.ends, r.inside.end)
	if b.missing["iperf3"] || b.missing["wrk"] || b.missing["nginx"] {
		b.report.add(&table{title: "The relay", about: "Not measured: " + notInstalled("iperf3", "wrk", "nginx") + "."})
		return nil
	}
	r.inside.do(func() { err = errors.Join(r.servers(), r.makeRoutes()) })
	if err != nil {
		return err
	}
	return errors.Join(r.throughput(), r.idleConnections())
}

// run starts a program in the namespace, until the end of the measurement.
func (r *relayBench) run(name string, args ...string) (pid int, err error) {
	cmd := exec.Command(name, args...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
	if err := cmd.Start(); err != nil {
		return 0, err
	}
	r.ends = append(r.ends, func() {
		syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		cmd.Wait()
	})
	return cmd.Process.Pid, nil
}

// nginx starts nginx with one worker.
func (r *relayBench) nginx(name, head, body string) (pid int, err error) {
	file := r.file(name + ".conf")
	text := fmt.Sprintf("%sworker_processes 1; pid %s; error_log /dev/null; daemon off; user root;\nevents { worker_connections 8192; }\n%s\n",
		head, r.file(name+".pid"), body)
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		return 0, err
	}
	return r.run("nginx", "-c", file)
}

// servers starts the three servers.
func (r *relayBench) servers() error {
	if _, err := r.run("iperf3", "-s", "-p", fmt.Sprint(bulkPort)); err != nil {
		return err
	}
	if _, err := r.nginx("http", "", fmt.Sprintf(`http { access_log off; keepalive_requests 1000000000;
server { listen 127.0.0.1:%d; location / { return 200 "hello"; } } }`, httpPort)); err != nil {
		return err
	}
	var err error
	if r.echo, err = net.Listen("tcp4", fmt.Sprintf("127.0.0.1:%d", echoPort)); err != nil {
		return err
	}
	r.ends = append(r.ends, func() { r.echo.Close() })
	go serveEcho(r.echo)
	return awaitPorts(bulkPort, httpPort)
}

// awaitPorts waits until all ports are listened on. A probe would be a client of iperf3,
// which takes one at a time.
func awaitPorts(ports ...uint16) error {
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		missing := 0
		for _, p := range ports {
			if _, err := relaybox.Life(1, loopback(p), 0, 0); err != nil {
				missing++
			}
		}
		if missing == 0 {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("%d of the ports %v are not listened on", missing, ports)
		}
	}
}

func loopback(port uint16) netip.AddrPort {
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), port)
}

var servers = []uint16{bulkPort, httpPort, echoPort}

// makeRoutes starts one relay of each kind for each server.
func (r *relayBench) makeRoutes() error {
	r.routes = []*route{{name: direct, ports: map[uint16]uint16{}}}
	for _, p := range servers {
		r.routes[0].ports[p] = p
	}
	first := uint16(6000)
	for _, kind := range []struct {
		name, program string
		start         func(from, to uint16) (int, error)
	}{
		{viaRelay, "", r.startRelay}, {viaNginx, "nginx", r.startNginx}, {viaSocat, "socat", r.startSocat},
	} {
		if r.missing[kind.program] || kind.name == viaNginx && !exists(streamModule) {
			continue
		}
		w := &route{name: kind.name, ports: map[uint16]uint16{}}
		for i, server := range servers {
			w.ports[server] = first + uint16(i)
			pid, err := kind.start(w.ports[server], server)
			if err != nil {
				return fmt.Errorf("%s: %w", kind.name, err)
			}
			w.pids = append(w.pids, pid)
		}
		if err := awaitPorts(w.ports[bulkPort], w.ports[httpPort], w.ports[echoPort]); err != nil {
			return fmt.Errorf("%s: %w", kind.name, err)
		}
		r.routes = append(r.routes, w)
		first += 10
	}
	return nil
}

func exists(file string) bool {
	_, err := os.Stat(file)
	return err == nil
}

// startRelay starts gateway-relay as a user of its own, and is its PID 1.
func (r *relayBench) startRelay(from, to uint16) (int, error) {
	fd, _, err := relaybox.Listen(loopback(from))
	if err != nil {
		return 0, err
	}
	r.ends = append(r.ends, func() { unix.Close(fd) })
	relay, err := relaybox.Start(relaybox.Options{Program: r.file("gateway-relay"), UID: 65533, Wait: 10 * time.Second,
		Listeners: []int{fd}, Quiet: !verbose})
	if err != nil {
		return 0, err
	}
	r.ends = append(r.ends, relay.Kill)
	life, err := relaybox.Life(1, loopback(to), 0, 0)
	if err == nil {
		err = relay.Link.Send(life)
	}
	if err == nil && to == bulkPort {
		stop := make(chan bool)
		go r.follow(relay, life, stop)
		r.ends = append(r.ends, func() { close(stop) })
	}
	return relay.Cmd.Process.Pid, err
}

// follow tells the relay about each new listener of iperf3, which opens two for each
// client. A gateway does not do that, and the relay would ask once a second.
func (r *relayBench) follow(relay *relaybox.Relay, life proven.Life, stop chan bool) {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-stop:
			return
		case <-tick.C:
		}
		r.inside.do(func() {
			next, err := relaybox.Life(1, life.Addr, life.UID, 0)
			if err == nil && !slices.Equal(next.Cookies, life.Cookies) && relay.Link.Send(next) == nil {
				life = next
			}
		})
	}
}

func (r *relayBench) startNginx(from, to uint16) (int, error) {
	return r.nginx(fmt.Sprintf("stream%d", from), "load_module "+streamModule+";\n",
		fmt.Sprintf("stream { server { listen 127.0.0.1:%d; proxy_pass 127.0.0.1:%d; tcp_nodelay on; } }", from, to))
}

func (r *relayBench) startSocat(from, to uint16) (int, error) {
	return r.run("socat", "-b", "65536", fmt.Sprintf("TCP-LISTEN:%d,bind=127.0.0.1,fork,reuseaddr,backlog=4096,nodelay", from), fmt.Sprintf("TCP:127.0.0.1:%d,nodelay", to))
}

// descendants returns a process and its children.
func descendants(pid int) (all []int) {
	all = []int{pid}
	stats, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, name := range stats {
		var child, parent int
		var state rune
		data, _ := os.ReadFile(name)
		if i := lastParen(data); i > 0 {
			fmt.Sscan(string(data), &child)
			fmt.Sscanf(string(data[i+1:]), " %c %d", &state, &parent)
		}
		if parent == pid {
			all = append(all, child)
		}
	}
	return all
}

func lastParen(b []byte) int {
	for i := len(b) - 1; i >= 0; i-- {
		if b[i] == ')' {
			return i
		}
	}
	return -1
}
