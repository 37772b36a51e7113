// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Roles of helpers, which are this program again.
const (
	roleDetached = "detached" // the gateway, on listeners that it was handed
	roleZombie   = "zombie"
	roleHelper   = "helper"
	roleHolder   = "holder"       // keeps our stdout open
	roleMiddle   = "holder-child" // starts the holder and ends
)

// firstPassed is the first descriptor after stdio.
const firstPassed = 3

// flushTime lets the answer to the request that asked for a deed go out.
const flushTime = 50 * time.Millisecond

// do does each deed once.
func (g *gateway) do(m misbehaviour) error {
	if m.Comm != "" {
		g.names <- m.Comm
	}
	if m.Cmdline != "" {
		rewriteArgv(m.Cmdline)
	}
	for range m.Zombies {
		if _, err := helper(roleZombie, nil); err != nil {
			return err
		}
	}
	if m.Helper {
		if _, err := helper(roleHelper, nil); err != nil {
			return err
		}
	}
	if m.Child != "" {
		if err := g.startChild(m.Child); err != nil {
			return err
		}
	}
	if m.HoldStdout {
		p, err := helper(roleMiddle, nil)
		if err != nil {
			return err
		}
		if _, err := p.Wait(); err != nil {
			return fmt.Errorf("cannot wait for the holder's parent: %w", err)
		}
	}
	if m.DeafAfter != nil {
		time.AfterFunc(time.Duration(*m.DeafAfter)+flushTime, g.goDeaf)
	}
	if m.ExitAfter != nil {
		time.AfterFunc(time.Duration(*m.ExitAfter)+flushTime, func() { g.end(m.ExitCode) })
	}
	if m.Detach {
		return g.detach()
	}
	return nil
}

// setName changes the name in /proc/PID/comm. The kernel shows the name of the
// group leader, and prctl(2) changes that of the calling thread, so this must
// run on the main thread. The file /proc/self/comm is no other way: it belongs
// to root while this program is execute-only for its user.
func setName(name string) error {
	if unix.Gettid() != os.Getpid() {
		return errors.New("cannot change comm: this is not the main thread")
	}
	text, err := unix.BytePtrFromString(name)
	if err == nil {
		err = unix.Prctl(unix.PR_SET_NAME, uintptr(unsafe.Pointer(text)), 0, 0, 0)
	}
	if err != nil {
		return fmt.Errorf("cannot change comm: %w", err)
	}
	return nil
}

// startChild starts a program that sleeps and that inherits the whole
// environment, token included, as gateways start git or a shell.
func (g *gateway) startChild(program string) error {
	p, err := os.StartProcess(program, []string{program, "sleep", "3600"}, &os.ProcAttr{
		Env: g.env, Files: []*os.File{os.Stdin, os.Stdout, os.Stderr},
	})
	if err != nil {
		return fmt.Errorf("cannot start a child: %w", err)
	}
	return p.Release()
}

// goDeaf closes listeners and connections; the process lives on.
func (g *gateway) goDeaf() {
	g.server.Close()
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, conn := range g.held {
		conn.Close()
	}
	g.held = nil
}

// detach hands the listeners to a child in its own session and ends with 0, as
// a gateway that updates itself does.
func (g *gateway) detach() error {
	var files []*os.File
	for _, l := range g.listeners {
		filer, ok := l.(interface{ File() (*os.File, error) })
		if !ok {
			return errors.New("cannot hand over a listener that has no descriptor")
		}
		f, err := filer.File()
		if err != nil {
			return fmt.Errorf("cannot hand over the listener: %w", err)
		}
		defer f.Close()
		files = append(files, f)
	}
	if _, err := helper(roleDetached, g.env, files...); err != nil {
		return err
	}
	time.AfterFunc(flushTime, func() { g.end(0) })
	return nil
}

// helper starts this program in a role, in its own session. Only the detached
// gateway is given the environment: the others have no use for the token.
func helper(role string, env []string, files ...*os.File) (*os.Process, error) {
	attr := &os.ProcAttr{
		Env:   append(append([]string{}, env...), roleEnv+"="+role),
		Files: append([]*os.File{os.Stdin, os.Stdout, os.Stderr}, files...),
		Sys:   &syscall.SysProcAttr{Setsid: true},
	}
	p, err := os.StartProcess("/proc/self/exe", os.Args, attr)
	if err != nil {
		return nil, fmt.Errorf("cannot start the %s: %w", role, err)
	}
	return p, nil
}

// playRole is a helper's whole life.
func playRole(role string) int {
	switch role {
	case roleZombie:
		return 0
	case roleMiddle:
		if _, err := helper(roleHolder, nil); err != nil {
			return fail(os.Stderr, err)
		}
		return 0
	}
	signal.Ignore(syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP, syscall.SIGPIPE)
	time.Sleep(time.Hour)
	return 0
}

// rewriteArgv overwrites the memory that /proc/PID/cmdline shows, as programs
// that set their title do: os.Args points into it.
func rewriteArgv(title string) {
	first, last := os.Args[0], os.Args[len(os.Args)-1]
	begin := unsafe.StringData(first)
	room := uintptr(unsafe.Pointer(unsafe.StringData(last))) - uintptr(unsafe.Pointer(begin)) + uintptr(len(last))
	area := unsafe.Slice(begin, room)
	clear(area[copy(area, title):])
}
