// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"syscall"
	"time"
	"unsafe"
)

// fork is a bare fork: the child is one thread of a Go program, without its
// runtime, and may do nothing but raw system calls on its stack. It is cheap,
// and at the pids limit it fails with EAGAIN instead of ending the program.
//
//go:norace
//go:nosplit
func fork() (pid uintptr, errno syscall.Errno) {
	pid, _, errno = syscall.RawSyscall6(syscall.SYS_CLONE, uintptr(syscall.SIGCHLD), 0, 0, 0, 0, 0)
	return pid, errno
}

//go:norace
//go:nosplit
func leave() {
	for {
		syscall.RawSyscall(syscall.SYS_EXIT_GROUP, 0, 0, 0)
	}
}

// family is a child that has n children, waits for none, and ends. They end at
// once, or live for some seconds.
//
//go:norace
//go:nosplit
func family(n int, life int64) (pid uintptr, errno syscall.Errno) {
	pid, errno = fork()
	if errno != 0 || pid != 0 {
		return pid, errno
	}
	pause := syscall.Timespec{Nsec: int64(time.Millisecond)}
	for made := 0; made < n; {
		grandchild, errno := fork()
		switch {
		case errno != 0: // at the limit: PID 1 reaps meanwhile
			syscall.RawSyscall(syscall.SYS_NANOSLEEP, uintptr(unsafe.Pointer(&pause)), 0, 0)
		case grandchild == 0:
			if life > 0 {
				rest := syscall.Timespec{Sec: life}
				syscall.RawSyscall(syscall.SYS_NANOSLEEP, uintptr(unsafe.Pointer(&rest)), 0, 0)
			}
			leave()
		default:
			made++
		}
	}
	leave()
	return 0, 0
}

// batch keeps a family well below any limit on processes.
const batch = 50

func zombies(args []string) error {
	n, err := number(args[0])
	if err != nil {
		return err
	}
	if err := orphans(n, 0); err != nil {
		return err
	}
	fmt.Printf("orphaned %d\n", n)
	return nil
}

// linger leaves orphans that live.
func linger(args []string) error {
	n, err := number(args[0])
	if err != nil {
		return err
	}
	life, err := seconds(args[1])
	if err != nil {
		return err
	}
	return orphans(n, int64(life/time.Second))
}

func orphans(n int, life int64) error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	for n > 0 {
		pid, errno := family(min(n, batch), life)
		if errno == syscall.EAGAIN {
			time.Sleep(time.Millisecond)
			continue
		} else if errno != 0 {
			return fmt.Errorf("cannot fork: %w", errno)
		}
		if err := wait(int(pid)); err != nil {
			return err
		}
		n -= batch
	}
	return nil
}

func wait(pid int) error {
	for {
		_, err := syscall.Wait4(pid, nil, 0, nil)
		if !errors.Is(err, syscall.EINTR) {
			return err
		}
	}
}

// churn makes so many short-lived orphans a second.
func churn(args []string) error {
	rate, err := number(args[0])
	if err != nil || rate == 0 {
		return errors.Join(err, errors.New("the rate is at least 1"))
	}
	d, err := seconds(args[1])
	if err != nil {
		return err
	}
	tick := time.NewTicker(time.Second / time.Duration(rate))
	defer tick.Stop()
	for end := time.After(d); ; {
		select {
		case <-end:
			return nil
		case <-tick.C:
			if err := orphans(1, 0); err != nil {
				return err
			}
		}
	}
}

// forkbomb fills the pids limit and keeps it full. Every copy forks on, and all
// of them end when the time is over; with a second time this process lives on.
func forkbomb(args []string) error {
	d, err := seconds(args[0])
	if err != nil {
		return err
	}
	var stay time.Duration
	if len(args) > 1 {
		if stay, err = seconds(args[1]); err != nil {
			return err
		}
	}
	runtime.LockOSThread()
	var end syscall.Timespec
	if _, _, errno := syscall.RawSyscall(syscall.SYS_CLOCK_GETTIME, 1, uintptr(unsafe.Pointer(&end)), 0); errno != 0 {
		return errno
	}
	until := end.Sec + int64(d/time.Second) + 1
	if stay > 0 {
		if pid, errno := fork(); errno != 0 {
			return errno
		} else if pid != 0 {
			time.Sleep(d + stay)
			return nil
		}
	}
	bomb(until)
	return nil
}

//go:norace
//go:nosplit
func bomb(end int64) {
	pause := syscall.Timespec{Nsec: int64(5 * time.Millisecond)}
	for {
		var now syscall.Timespec
		syscall.RawSyscall(syscall.SYS_CLOCK_GETTIME, 1, uintptr(unsafe.Pointer(&now)), 0)
		if now.Sec >= end {
			leave()
		}
		if _, errno := fork(); errno != 0 {
			syscall.RawSyscall(syscall.SYS_NANOSLEEP, uintptr(unsafe.Pointer(&pause)), 0, 0)
		}
	}
}

// unreaped is a parent that does not do its part: its children stay zombies.
func unreaped(args []string) error {
	n, err := number(args[0])
	if err != nil {
		return err
	}
	for range n {
		if _, err := os.StartProcess("/proc/self/exe", []string{"demotools", "exit", "0"}, &os.ProcAttr{}); err != nil {
			return err
		}
	}
	fmt.Println("done")
	return sleep(args[1:])
}
