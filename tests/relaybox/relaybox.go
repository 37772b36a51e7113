// SPDX-License-Identifier: Apache-2.0

// Package relaybox starts gateway-relay as PID 1 does, for tests and benchmarks.
package relaybox

import (
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/gateway-init/gateway-init/internal/proven"
	"github.com/gateway-init/gateway-init/internal/relaycount"
	"github.com/gateway-init/gateway-init/internal/relaylink"
	"github.com/gateway-init/gateway-init/internal/sockets"
	"github.com/gateway-init/gateway-init/internal/sys"
)

// Options say how to start the relay.
type Options struct {
	Program   string
	UID       uint32 // 0: as the caller
	Wait      time.Duration
	Args      []string
	Listeners []int    // of the caller, who keeps them
	Counters  *os.File // nil: a new file
	Stderr    *os.File
	Quiet     bool            // without its log
	Prepare   func(*exec.Cmd) // changes how it is started; may be nil
}

// Relay is a running relay.
type Relay struct {
	Link     *relaylink.Supervisor
	Counters *os.File
	Cmd      *exec.Cmd
}

// Listen returns a socket that listens at addr, as PID 1 makes it.
func Listen(addr netip.AddrPort) (fd int, at netip.AddrPort, err error) {
	family := unix.AF_INET
	options := [][3]int{{unix.SOL_SOCKET, unix.SO_REUSEADDR, 1}, {unix.SOL_SOCKET, unix.SO_RCVBUF, 256 << 10}}
	var sa unix.Sockaddr
	if addr.Addr().Is6() {
		family = unix.AF_INET6
		options = append(options, [3]int{unix.IPPROTO_IPV6, unix.IPV6_V6ONLY, 1})
		sa = &unix.SockaddrInet6{Port: int(addr.Port()), Addr: addr.Addr().As16()}
	} else {
		sa = &unix.SockaddrInet4{Port: int(addr.Port()), Addr: addr.Addr().As4()}
	}
	if fd, err = unix.Socket(family, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, unix.IPPROTO_TCP); err != nil {
		return -1, at, err
	}
	defer func() {
		if err != nil {
			unix.Close(fd)
		}
	}()
	for _, o := range options {
		if err = unix.SetsockoptInt(fd, o[0], o[1], o[2]); err != nil {
			return -1, at, err
		}
	}
	if err = unix.Bind(fd, sa); err != nil {
		return -1, at, err
	}
	if err = unix.Listen(fd, 4096); err != nil {
		return -1, at, err
	}
	at, err = sys.LocalAddr(fd)
	return fd, at, err
}

// Start starts the relay. The caller ends it with Kill, or with Link.Close and Cmd.Wait.
func Start(o Options) (_ *Relay, err error) {
	r := &Relay{Counters: o.Counters}
	if r.Counters == nil {
		dir, err := os.MkdirTemp("", "relay")
		if err != nil {
			return nil, err
		}
		defer os.RemoveAll(dir)
		r.Counters, err = os.OpenFile(filepath.Join(dir, relaycount.Name), os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
		if err == nil {
			err = relaycount.Init(r.Counters)
		}
		if err != nil {
			return nil, err
		}
	}
	var theirs *os.File
	if r.Link, theirs, err = relaylink.Pair(); err != nil {
		return nil, err
	}
	defer theirs.Close()
	args := append([]string{"--listeners", strconv.Itoa(len(o.Listeners)), "--wait", o.Wait.String()}, o.Args...)
	r.Cmd = exec.Command(o.Program, args...)
	r.Cmd.Env = []string{}
	r.Cmd.Stderr = os.Stderr
	if o.Stderr != nil {
		r.Cmd.Stderr = o.Stderr
	}
	if o.Quiet {
		r.Cmd.Stderr = nil
	}
	r.Cmd.ExtraFiles = []*os.File{theirs, r.Counters}
	for _, fd := range o.Listeners {
		again, err := sys.Duplicate(fd, "listener")
		if err != nil {
			return nil, err
		}
		defer again.Close()
		r.Cmd.ExtraFiles = append(r.Cmd.ExtraFiles, again)
	}
	r.Cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if o.UID != 0 {
		r.Cmd.SysProcAttr.Credential = &syscall.Credential{Uid: o.UID, Gid: o.UID}
	}
	if o.Prepare != nil {
		o.Prepare(r.Cmd)
	}
	if err := r.Cmd.Start(); err != nil {
		r.Link.Close()
		return nil, fmt.Errorf("cannot start %s: %w", o.Program, err)
	}
	return r, nil
}

// Kill ends the relay and waits for it.
func (r *Relay) Kill() {
	r.Link.Close()
	r.Cmd.Process.Kill()
	r.Cmd.Wait()
}

// Life returns the life of a gateway as PID 1 records it. The caller owns the pidfd.
func Life(generation uint64, addr netip.AddrPort, uid uint32, pid int) (proven.Life, error) {
	l := proven.Life{Generation: generation, Addr: addr, UID: uid, PIDFD: -1}
	ls, err := sockets.Listeners(addr.Port())
	if err != nil {
		return l, err
	}
	for _, s := range ls {
		if proven.Covers(s.Addr, addr) {
			l.Cookies = append(l.Cookies, s.Cookie)
		}
	}
	slices.Sort(l.Cookies)
	if len(l.Cookies) == 0 {
		return l, fmt.Errorf("no process listens at %v", addr)
	}
	if pid != 0 {
		l.PIDFD, err = sys.PidfdOpen(pid)
	}
	return l, err
}
