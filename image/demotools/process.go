// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// decoyEnv marks the second life of decoy; its value is the new comm.
const decoyEnv = "DEMOTOOLS_DECOY"

func id([]string) error {
	groups, err := os.Getgroups()
	fmt.Printf("uid=%d euid=%d gid=%d egid=%d groups=%v\n", os.Getuid(), os.Geteuid(), os.Getgid(), os.Getegid(), groups)
	return err
}

func sleep(args []string) error {
	d, err := seconds(args[0])
	if err != nil {
		return err
	}
	time.Sleep(d)
	return nil
}

func stubborn(args []string) error {
	signal.Ignore(syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP, syscall.SIGQUIT)
	fmt.Println("ignoring", os.Getpid())
	return sleep(args)
}

func exit(args []string) error {
	n, err := number(args[0])
	if err != nil {
		return err
	}
	return exitCode(n)
}

func spin(args []string) error {
	until := time.Now().Add(time.Hour)
	if len(args) > 0 {
		d, err := seconds(args[0])
		if err != nil {
			return err
		}
		until = time.Now().Add(d)
	}
	for time.Now().Before(until) {
	}
	return nil
}

func withoutCaps(args []string) error {
	runtime.LockOSThread() // capabilities are a thread's
	none := [2]unix.CapUserData{}
	if err := unix.Capset(&unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}, &none[0]); err != nil {
		return err
	}
	return syscall.Exec(args[0], args, os.Environ())
}

// decoy executes this program again under another command line.
func decoy(args []string) error {
	return syscall.Exec("/proc/self/exe", args[1:], []string{decoyEnv + "=" + args[0]})
}

func beDecoy() int {
	if err := os.WriteFile("/proc/self/comm", []byte(os.Getenv(decoyEnv)), 0); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	time.Sleep(time.Hour)
	return 0
}

// orphan starts a command and leaves it to PID 1.
func orphan(args []string) error {
	path := args[0]
	if _, ok := applets()[path]; ok {
		path, args = "/proc/self/exe", append([]string{"demotools"}, args...)
	}
	p, err := os.StartProcess(path, args, &os.ProcAttr{
		Files: []*os.File{os.Stdin, os.Stdout, os.Stderr}, Sys: &syscall.SysProcAttr{Setsid: true},
	})
	if err != nil {
		return err
	}
	fmt.Println(p.Pid)
	return nil
}

// ps prints pid, parent, uid, state, session and comm. A process that ends
// while it is looked at is left out.
func ps([]string) error {
	dirs, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		return err
	}
	slices.SortFunc(dirs, func(a, b string) int { return len(a)*1000 - len(b)*1000 + strings.Compare(a, b) })
	for _, dir := range dirs {
		var st syscall.Stat_t
		data, err := os.ReadFile(dir + "/stat")
		if err != nil || syscall.Stat(dir, &st) != nil {
			continue
		}
		// comm may hold anything, parentheses too: it ends at the last one.
		open, end := strings.IndexByte(string(data), '('), strings.LastIndexByte(string(data), ')')
		fields := strings.Fields(string(data[end+1:]))
		uid := "-"
		status, _ := os.ReadFile(dir + "/status")
		if _, after, ok := strings.Cut(string(status), "\nUid:\t"); ok {
			uid, _, _ = strings.Cut(after, "\t")
		}
		fmt.Printf("%s %s %s %s %s %q\n", filepath.Base(dir), fields[1], uid, fields[0], fields[3], data[open+1:end])
	}
	return nil
}

func sigsend(args []string) error {
	pid, err := strconv.Atoi(args[0])
	if err != nil {
		return err
	}
	sig := unix.SignalNum("SIG" + strings.TrimPrefix(args[1], "SIG"))
	if n, err := strconv.Atoi(args[1]); err == nil {
		sig = syscall.Signal(n)
	} else if sig == 0 {
		return fmt.Errorf("no signal %q", args[1])
	}
	times := 1
	if len(args) > 2 {
		if times, err = number(args[2]); err != nil {
			return err
		}
	}
	for range times {
		if err := syscall.Kill(pid, sig); err != nil {
			return err
		}
	}
	return nil
}

func sigall(args []string) error {
	pid, err := strconv.Atoi(args[0])
	if err != nil {
		return err
	}
	for n := 1; n <= 64; n++ {
		sig := syscall.Signal(n)
		if sig == syscall.SIGKILL || sig == syscall.SIGSTOP {
			continue
		}
		said := "sent"
		if err := syscall.Kill(pid, sig); err != nil {
			said = unix.ErrnoName(err.(syscall.Errno))
		}
		fmt.Println(n, said)
	}
	return nil
}

// ttyInfo says what stdin is and who has the terminal.
func ttyInfo([]string) error {
	size, err := unix.IoctlGetWinsize(0, unix.TIOCGWINSZ)
	if errors.Is(err, unix.ENOTTY) || errors.Is(err, unix.ENODEV) {
		fmt.Println("tty=no")
		return nil
	} else if err != nil {
		return err
	}
	group, err := unix.IoctlGetInt(0, unix.TIOCGPGRP)
	session, errSession := unix.Getsid(0)
	if err := errors.Join(err, errSession); err != nil {
		return err
	}
	fmt.Printf("tty=yes rows=%d cols=%d foreground=%t session-leader=%t\n", size.Row, size.Col, group == unix.Getpgrp(), session == os.Getpid())
	return nil
}
