// SPDX-License-Identifier: Apache-2.0

package main

import (
	"os"
	"os/signal"
	"strconv"
	"syscall"
)

// foreignInit is somebody else's PID 1: it starts CMD as UID, passes the stop
// signals on, reaps, and ends as CMD does.
func foreignInit(args []string) error {
	uid, err := strconv.ParseUint(args[0], 10, 31)
	if err != nil {
		return err
	}
	signals := make(chan os.Signal, 16)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP, syscall.SIGQUIT)
	p, err := os.StartProcess(args[1], args[1:], &os.ProcAttr{
		Env: os.Environ(), Files: []*os.File{os.Stdin, os.Stdout, os.Stderr},
		Sys: &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(uid)}},
	})
	if err != nil {
		return err
	}
	go func() {
		for s := range signals {
			_ = p.Signal(s)
		}
	}()
	for {
		var status syscall.WaitStatus
		pid, err := syscall.Wait4(-1, &status, 0, nil)
		switch {
		case err == syscall.EINTR:
		case err != nil:
			return err
		case pid == p.Pid && status.Signaled():
			return exitCode(128 + int(status.Signal()))
		case pid == p.Pid:
			return exitCode(status.ExitStatus())
		}
	}
}
