// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// hostile is an agent of the supervisor's own user that does, one after the
// other and at random, all that such an agent can do to a controller of root's:
// it makes processes that look like supervisor and gateway, ends and stops the
// gateway and whoever looks at it, traces the gateway, holds the port, and writes
// over every file that is its user's. It spares the supervisor, whose end is the
// container's. Its processes note in FILE when anybody sends them a stop signal.
func hostile(args []string) error {
	struck, dir := args[0], fmt.Sprintf("/dev/shm/gateway-init-%d", os.Getuid())
	go func() { _ = thief([]string{"-hold", "0.05", "127.0.0.1:18789", "/dev/null"}) }()
	attacks := []func(){
		func() { baits(struck, "/usr/local/sbin/gateway-init", "gateway-init") },
		func() { baits(struck, "demogateway", "demogateway") },
		func() { strike("demogateway", syscall.SIGKILL) },
		func() { strike("gatewayctl", syscall.SIGKILL) }, // what root delegates
		func() { strike("exe", syscall.SIGKILL) },        // the witness, executed as /proc/self/exe
		func() { strike("exe", syscall.SIGSTOP) },
		func() { strike("demogateway", syscall.SIGSTOP) },
		func() { trace("demogateway") },
		func() { forge(dir) },
		func() { pause(300) }, // and now and then it lets something succeed
	}
	for {
		attacks[rand.IntN(len(attacks))]()
		pause(50)
	}
}

func pause(most int) { time.Sleep(time.Duration(rand.IntN(most)) * time.Millisecond) }

// baits are processes with a name, an argument and the token's variable that
// they have no right to: a child, and an orphan that becomes the supervisor's.
func baits(struck, argv0, comm string) {
	env := append(os.Environ(), "OPENCLAW_GATEWAY_TOKEN="+strings.Repeat("0", 64))
	attr := &os.ProcAttr{Env: env, Files: []*os.File{os.Stdin, os.Stdout, os.Stderr}}
	child, err := os.StartProcess("/proc/self/exe", []string{argv0, "bait", struck, comm}, attr)
	if err != nil {
		return
	}
	between, err := os.StartProcess("/proc/self/exe", []string{argv0, "orphan", "bait", struck, comm}, attr)
	if err == nil {
		_, _ = between.Wait()
	}
	pause(200)
	_ = child.Kill()
	_, _ = child.Wait()
	for _, pid := range named(comm) { // the orphan; never the real one, which runs another program
		if exe, _ := os.Readlink(fmt.Sprintf("/proc/%d/exe", pid)); filepath.Base(exe) == "demotools" {
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
	}
}

// bait sleeps under a name and notes what it is sent.
func bait(args []string) error {
	if err := os.WriteFile("/proc/self/comm", []byte(args[1]), 0); err != nil {
		return err
	}
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP, syscall.SIGQUIT, syscall.SIGUSR1, syscall.SIGUSR2)
	f, err := os.OpenFile(args[0], os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o644)
	if err != nil {
		return err
	}
	defer f.Close()
	select {
	case s := <-signals:
		_, err = fmt.Fprintf(f, "%d %s: %v\n", os.Getpid(), args[1], s)
	case <-time.After(time.Minute):
	}
	return err
}

// named are the processes that call themselves so.
func named(comm string) (pids []int) {
	files, _ := filepath.Glob("/proc/[0-9]*/comm")
	for _, file := range files {
		if text, _ := os.ReadFile(file); string(bytes.TrimSpace(text)) == comm {
			if pid, err := strconv.Atoi(filepath.Base(filepath.Dir(file))); err == nil {
				pids = append(pids, pid)
			}
		}
	}
	return pids
}

// strike sends sig to whoever calls itself so: root's refuse by uid.
func strike(comm string, sig syscall.Signal) {
	until := time.Now().Add(200 * time.Millisecond)
	for time.Now().Before(until) {
		for _, pid := range named(comm) {
			if pid != os.Getpid() {
				_ = syscall.Kill(pid, sig)
			}
		}
		time.Sleep(time.Millisecond)
	}
	if sig == syscall.SIGSTOP {
		for _, pid := range named(comm) {
			_ = syscall.Kill(pid, syscall.SIGCONT)
		}
	}
}

// trace holds the gateway as a debugger does.
func trace(comm string) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	for _, pid := range named(comm) {
		if syscall.PtraceAttach(pid) != nil {
			continue
		}
		_, _ = syscall.Wait4(pid, nil, syscall.WALL, nil)
		pause(200)
		_ = syscall.PtraceDetach(pid)
	}
}

// forge writes over what the user may write, and tries what it may not: an
// authorisation by somebody who lives, a status in which all is well, a request.
func forge(dir string) {
	lie := fmt.Sprintf("gateway-exit-1 %d 1 %d 1\n", os.Getpid(), os.Getppid())
	for _, place := range []string{"/run/gateway-init", "/dev/.gateway-init", "/dev/shm/gateway-init", dir, "/tmp"} {
		_ = os.Mkdir(place, 0o755)
		_ = os.WriteFile(place+"/exit-authorisation", []byte(lie), 0o444)
		_ = os.WriteFile(place+"/controller.lock", nil, 0o600)
	}
	// The token and the FIFO stay: a gateway that was stopped could not be started
	// again by anybody, which shows nothing more.
	_ = os.Remove(dir + "/status.json")
	_ = os.WriteFile(dir+"/status.json", []byte(`{"schema":1,"state":"running","health":{"state":"serving"}}`), 0o600)
	if f, err := os.OpenFile(dir+"/control/request", os.O_WRONLY|syscall.O_NONBLOCK, 0); err == nil {
		verbs := []string{"stop", "restart", "restart", "probe"}
		fmt.Fprintf(f, "\nv1 %064x %s\n", rand.Uint64(), verbs[rand.IntN(len(verbs))])
		f.Close()
	}
}
