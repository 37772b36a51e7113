// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// trap says which stop signal it got, and ends with CODE so many seconds later.
func trap(args []string) error {
	d, err := seconds(args[1])
	if err != nil {
		return err
	}
	code, err := number(args[2])
	if err != nil {
		return err
	}
	signals := make(chan os.Signal, 8)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP, syscall.SIGQUIT)
	fmt.Println(args[0], "waits")
	fmt.Println(args[0], "got", <-signals)
	time.Sleep(d)
	return exitCode(code)
}

// die ends by a signal, whatever the Go runtime makes of it otherwise.
func die(args []string) error {
	n, err := number(args[0])
	if err != nil {
		return err
	}
	const sigsetSize = 8
	var byDefault [4]uint64 // struct sigaction of the kernel: SIG_DFL, no flags, no mask
	var none uint64
	syscall.RawSyscall6(syscall.SYS_RT_SIGACTION, uintptr(n), uintptr(unsafe.Pointer(&byDefault)), 0, sigsetSize, 0, 0)
	syscall.RawSyscall6(syscall.SYS_RT_SIGPROCMASK, unix.SIG_SETMASK, uintptr(unsafe.Pointer(&none)), 0, sigsetSize, 0, 0)
	if err := syscall.Kill(os.Getpid(), syscall.Signal(n)); err != nil {
		return err
	}
	time.Sleep(10 * time.Second)
	return fmt.Errorf("signal %d did not end us", n)
}

// ttyWatch prints what tty-info does, and again at each change of size.
func ttyWatch([]string) error {
	signals := make(chan os.Signal, 8)
	signal.Notify(signals, syscall.SIGWINCH)
	for {
		if err := ttyInfo(nil); err != nil {
			return err
		}
		<-signals
	}
}

// orphanThen leaves an orphan behind, and becomes what follows "--".
func orphanThen(args []string) error {
	i := slices.Index(args, "--")
	if i < 1 || i == len(args)-1 {
		return errors.New("usage: orphan-then TOOL [ARG...] -- TOOL [ARG...]")
	}
	middle := append([]string{"demotools", "orphan"}, args[:i]...)
	p, err := os.StartProcess("/proc/self/exe", middle, &os.ProcAttr{Files: []*os.File{os.Stdin, os.Stdout, os.Stderr}})
	if err != nil {
		return err
	}
	if _, err := p.Wait(); err != nil {
		return err
	}
	return syscall.Exec("/proc/self/exe", append([]string{"demotools"}, args[i+1:]...), os.Environ())
}
