// SPDX-License-Identifier: Apache-2.0

package testenv

import (
	"os"
	"runtime"
	"syscall"
	"time"
)

// Headless, in the environment of a test program, makes it a process whose first
// thread ends and whose other threads go on for a minute.
const Headless = "GATEWAYINIT_TEST_HEADLESS=1"

// headless runs before any test, because package variables are set on the first
// thread.
var _ = headless()

func headless() bool {
	if os.Getenv(Headless[:len(Headless)-2]) == "" {
		return false
	}
	runtime.LockOSThread()
	time.AfterFunc(time.Minute, func() { os.Exit(0) })
	go time.Sleep(time.Minute)
	syscall.RawSyscall(syscall.SYS_EXIT, 0, 0, 0)
	return true
}
