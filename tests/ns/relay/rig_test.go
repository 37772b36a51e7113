// SPDX-License-Identifier: Apache-2.0

package relay

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/gateway-init/gateway-init/internal/relaycount"
	"github.com/gateway-init/gateway-init/internal/testenv"
	"github.com/gateway-init/gateway-init/tests/ns/box"
	"github.com/gateway-init/gateway-init/tests/relaybox"
)

func pointer[T any](p *T) unsafe.Pointer { return unsafe.Pointer(p) }

// Addresses of these tests. The gateway's port is outside of the source ports.
var (
	published   = netip.MustParseAddrPort("127.0.0.1:18789")
	gatewayAddr = netip.MustParseAddrPort("127.0.0.1:18788")
)

// rig is a relay, with the test as PID 1.
type rig struct {
	*testing.T
	options    relaybox.Options
	relay      *relaybox.Relay
	generation uint64
	counters   *os.File
	source     atomic.Uint32
}

// inside runs the test in its own network namespace. It returns nil in the process outside.
func inside(t *testing.T) *rig {
	t.Helper()
	if !testenv.Inside(t, unix.CLONE_NEWNET) {
		return nil
	}
	testenv.Must(t, testenv.Loopback())
	return &rig{T: t}
}

// start starts the relay.
func (r *rig) start(args ...string) *rig {
	r.Helper()
	r.options = relaybox.Options{Program: program(r.T), UID: relayUID, Wait: time.Minute, Stderr: os.Stderr,
		Args: append([]string{"--operator", fmt.Sprint(operatorUID)}, args...)}
	var fd int
	var err error
	if fd, published, err = relaybox.Listen(published); err != nil {
		r.Fatal(err)
	}
	r.options.Listeners = []int{fd}
	r.relay, err = relaybox.Start(r.options)
	testenv.Must(r, err)
	r.counters = r.relay.Counters
	r.Cleanup(func() { r.relay.Kill() })
	return r
}

// again starts another relay in place of one that was killed.
func (r *rig) again() {
	r.Helper()
	r.options.Counters = r.counters
	var err error
	r.relay, err = relaybox.Start(r.options)
	testenv.Must(r, err)
}

// program returns a copy of bin/gateway-relay that every user can execute.
func program(t *testing.T) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(box.Bin(t), "gateway-relay"))
	if err != nil {
		t.Fatalf("%v: run make build", err)
	}
	dir, err := os.MkdirTemp("/tmp", "relay-test")
	testenv.Must(t, err)
	t.Cleanup(func() { os.RemoveAll(dir) })
	testenv.Must(t, os.Chmod(dir, 0o711))
	path := filepath.Join(dir, "gateway-relay")
	testenv.Must(t, os.WriteFile(path, data, 0o711))
	return path
}

// process is another user's process, with the lines that it printed.
type process struct {
	cmd *exec.Cmd

	mu    sync.Mutex
	lines []string
}

// run starts a role as a user, and waits for its first line.
func (r *rig) run(uid uint32, role ...string) *process {
	r.Helper()
	p := &process{cmd: exec.Command("/proc/self/exe")}
	p.cmd.Env = []string{roleEnv + "=" + strings.Join(role, " "), "GOMAXPROCS=2"}
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Credential: &syscall.Credential{Uid: uid, Gid: uid}}
	out, err := p.cmd.StdoutPipe()
	testenv.Must(r, err)
	testenv.Must(r, p.cmd.Start())
	go func() {
		for s := bufio.NewScanner(out); s.Scan(); {
			p.mu.Lock()
			p.lines = append(p.lines, s.Text())
			p.mu.Unlock()
		}
	}()
	r.Cleanup(p.kill)
	testenv.Eventually(r, role[0]+" runs", func() bool { return p.last("") != "" })
	return p
}

// last returns the last line that begins with a prefix.
func (p *process) last(prefix string) (line string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, l := range p.lines {
		if strings.HasPrefix(l, prefix) {
			line = l
		}
	}
	return line
}

// all returns the lines that begin with a prefix.
func (p *process) all(prefix string) (lines []string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, l := range p.lines {
		if strings.HasPrefix(l, prefix) {
			lines = append(lines, l)
		}
	}
	return lines
}

func (p *process) kill() {
	p.cmd.Process.Kill()
	p.cmd.Wait()
}

// serve tells the relay about a new life of this gateway.
func (r *rig) serve(p *process) {
	r.Helper()
	r.generation++
	r.tell(p)
}

// serveBlind does the same as on a kernel without pidfds.
func (r *rig) serveBlind() {
	r.Helper()
	r.generation++
	life, err := relaybox.Life(r.generation, gatewayAddr, gatewayUID, 0)
	testenv.Must(r, err)
	testenv.Must(r, r.relay.Link.Send(life))
}

// tell tells the relay about the life again.
func (r *rig) tell(p *process) {
	r.Helper()
	life, err := relaybox.Life(r.generation, gatewayAddr, gatewayUID, p.cmd.Process.Pid)
	testenv.Must(r, err)
	defer unix.Close(life.PIDFD)
	testenv.Must(r, r.relay.Link.Send(life))
}

// count returns the counters.
func (r *rig) count() relaycount.Counters {
	r.Helper()
	c, err := relaycount.Read(r.counters)
	testenv.Must(r, err)
	return c
}

// outcome is what a client saw.
type outcome int

const (
	served  outcome = iota // the gateway's answer
	refused                // a reset, and not a byte
	cut                    // an end within the gateway's answer, as when it is killed
	wrong                  // anything else
)

// ask sends one line and returns what came back.
func (r *rig) ask(line string) outcome {
	o, err := r.tryAsk(line)
	if o == wrong {
		r.Errorf("%q: %v", line, err)
	}
	return o
}

func (r *rig) tryAsk(line string) (outcome, error) {
	// Each from another address, so that no source port is in TIME_WAIT.
	n := r.source.Add(1)
	d := net.Dialer{Timeout: time.Minute, LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 50+byte(n>>16), byte(n>>8), byte(n))}}
	c, err := d.Dial("tcp4", published.String())
	if err != nil {
		return outcomeOf("", line, err), err
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(time.Minute))
	if _, err := io.WriteString(c, line+"\n"); err != nil {
		return outcomeOf("", line, err), err
	}
	b, err := io.ReadAll(c)
	return outcomeOf(string(b), line, err), fmt.Errorf("got %q, %v", b, err)
}

func outcomeOf(got, line string, err error) outcome {
	switch {
	case got == "gateway: "+line+"\n" && (err == nil || errors.Is(err, unix.ECONNRESET)):
		return served
	case got == "" && (errors.Is(err, unix.ECONNRESET) || errors.Is(err, unix.EPIPE)):
		return refused
	case strings.HasPrefix("gateway: "+line+"\n", got) && (err == nil || errors.Is(err, unix.ECONNRESET)):
		return cut
	}
	return wrong
}

// rounds returns how often to do something.
func rounds(t *testing.T, short, long int) int {
	if testenv.Long(t) {
		return long
	}
	return short
}
