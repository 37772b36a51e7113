// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/gateway-init/gateway-init/internal/status"
	"github.com/gateway-init/gateway-init/supervisor/control"
)

const runtimeDir = "/run/gateway-init"

// box is a gateway-init in gateway mode whose gateway serves.
type box struct {
	*instance
	build   build
	fifo    *os.File
	replies *os.File // inotify on the directory of replies
	inside  *thread  // in its namespaces, with its capabilities
}

// startBox starts a box with a build, and with more options of PID 1. With probe's
// arguments the container's command is a probe, which runs as another user. It has
// carried them out when startBox returns.
func (b *bench) startBox(u build, s spec, probe ...string) (x *box, err error) {
	records := 1 // the gateway's record
	s.argv = append([]string{u.program("gateway-init")}, s.argv...)
	if len(probe) > 0 {
		s.argv = append(append(s.argv, boxDir+"/probe"), probe...)
		records += 2 // the command has started; it has finished
	}
	i, err := b.startInBox(s)
	if err != nil {
		return nil, err
	}
	x = &box{instance: i, build: u}
	defer func() {
		if err != nil {
			x.end()
			x = nil
		}
	}()
	for range records {
		if _, err := i.record(); err != nil {
			return x, fmt.Errorf("gateway mode: %w", err)
		}
	}
	if err := x.waitServing(); err != nil {
		return x, err
	}
	if x.fifo, err = os.OpenFile(x.path(control.Dir+"/"+control.FIFO), os.O_WRONLY|unix.O_NONBLOCK, 0); err != nil {
		return x, err
	}
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
	if err != nil {
		return x, err
	}
	x.replies = os.NewFile(uintptr(fd), "inotify")
	if _, err := unix.InotifyAddWatch(fd, x.path(control.Dir+"/"+control.Replies), unix.IN_MOVED_TO); err != nil {
		return x, err
	}
	return x, x.enter()
}

// path returns our path of a file of the runtime directory.
func (x *box) path(name string) string {
	return fmt.Sprintf("/proc/%d/root%s/%s", x.pid, runtimeDir, name)
}

// status returns PID 1's record.
func (x *box) status() (r status.Record, err error) {
	data, err := os.ReadFile(x.path(status.Name))
	if err == nil {
		err = json.Unmarshal(data, &r)
	}
	return r, err
}

// waitServing waits until PID 1's record has a proven gateway.
func (x *box) waitServing() error {
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(time.Millisecond) {
		if r, err := x.status(); err == nil && r.State == status.Running {
			return nil
		}
	}
	return errors.New("the gateway is not proven")
}

// enter starts a thread in the box, which exits with it.
func (x *box) enter() (err error) {
	x.inside, err = newThread(func() error {
		fd, err := unix.PidfdOpen(x.pid, 0)
		if err != nil {
			return err
		}
		defer unix.Close(fd)
		return errors.Join(unix.Unshare(unix.CLONE_FS), // the other threads share our root directory
			unix.Setns(fd, unix.CLONE_NEWPID|unix.CLONE_NEWNS|unix.CLONE_NEWNET|unix.CLONE_NEWIPC), limitCapabilities())
	})
	return err
}

// gatewayctl runs a verb in the box, as docker exec does. It returns the time from
// before the fork to the exit.
func (x *box) gatewayctl(verb string) (took int64, err error) {
	x.inside.do(func() {
		null, openErr := os.OpenFile(os.DevNull, os.O_RDWR, 0)
		if err = openErr; err != nil {
			return
		}
		defer null.Close()
		var ws syscall.WaitStatus
		began := now()
		pid, startErr := syscall.ForkExec(x.build.program("gatewayctl"), []string{"gatewayctl", verb}, &syscall.ProcAttr{
			Dir: "/", Env: []string{"PATH=" + path}, Files: []uintptr{null.Fd(), null.Fd(), null.Fd()}})
		if err = startErr; err != nil {
			return
		}
		for err = syscall.EINTR; err == syscall.EINTR; {
			_, err = syscall.Wait4(pid, &ws, 0, nil)
		}
		took = now() - began
		if err == nil && ws != 0 {
			err = fmt.Errorf("gatewayctl %s ended with %d", verb, ws.ExitStatus())
		}
	})
	return took, err
}

// end ends the box and all its processes.
func (x *box) end() { x.leave().end() }

// leave releases our resources of the box except its PID 1.
func (x *box) leave() *instance {
	if x.inside != nil {
		x.inside.end()
	}
	for _, f := range []*os.File{x.fifo, x.replies} {
		if f != nil {
			f.Close()
		}
	}
	return x.instance
}
