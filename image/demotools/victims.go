// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"syscall"
	"time"
	"unsafe"
)

// Bounds of victims.
const (
	victimLife = 30 * time.Millisecond
	victimsMax = 40 // at a time
)

// victims has short-lived children without end, so that every free pid is soon
// a bystander's. A child ends with 0 by itself: one that a signal ended was
// meant to be somebody else. FILE gets a line for each: "had PID" or
// "killed PID SIGNAL".
func victims(args []string) error {
	out, err := os.OpenFile(args[0], os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o644)
	if err != nil {
		return err
	}
	runtime.LockOSThread()
	life := syscall.NsecToTimespec(victimLife.Nanoseconds())
	for alive := 0; ; {
		for alive < victimsMax {
			if _, errno := victim(&life); errno == syscall.EAGAIN {
				break // no pid, or the limit: wait for one of ours to end
			} else if errno != 0 {
				return fmt.Errorf("cannot fork: %w", errno)
			}
			alive++
		}
		if alive == 0 {
			time.Sleep(time.Millisecond)
			continue
		}
		var status syscall.WaitStatus
		pid, err := syscall.Wait4(-1, &status, 0, nil)
		switch {
		case errors.Is(err, syscall.EINTR):
			continue
		case err != nil:
			return err
		}
		alive--
		line := "had " + strconv.Itoa(pid) + "\n"
		if status.Signaled() {
			line = fmt.Sprintf("killed %d %d\n", pid, status.Signal())
		}
		if _, err := out.WriteString(line); err != nil {
			return err
		}
	}
}

// victim forks a child that sleeps and ends. Go's signal handlers mean nothing
// there: every signal gets its default action back.
//
//go:norace
//go:nosplit
func victim(life *syscall.Timespec) (pid uintptr, errno syscall.Errno) {
	pid, errno = fork()
	if errno != 0 || pid != 0 {
		return pid, errno
	}
	var act [4]uintptr // struct sigaction of the kernel, SIG_DFL
	for sig := uintptr(1); sig <= 64; sig++ {
		syscall.RawSyscall6(syscall.SYS_RT_SIGACTION, sig, uintptr(unsafe.Pointer(&act)), 0, 8, 0, 0)
	}
	var none uint64
	syscall.RawSyscall6(syscall.SYS_RT_SIGPROCMASK, 2, uintptr(unsafe.Pointer(&none)), 0, 8, 0, 0)
	syscall.RawSyscall(syscall.SYS_NANOSLEEP, uintptr(unsafe.Pointer(life)), 0, 0)
	leave()
	return 0, 0
}
