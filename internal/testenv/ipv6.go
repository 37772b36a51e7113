// SPDX-License-Identifier: Apache-2.0

package testenv

import (
	"errors"
	"fmt"
	"net"
	"os"
	"runtime"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// ownNetEnv says that this process has a network namespace of its own.
const ownNetEnv = "GATEWAYINIT_TEST_OWN_NET"

// IPv6Main calls m.Run where [::1] exists. A container on an engine's bridge mostly
// has none. There the process executes itself in a network namespace of its own,
// which takes root. Without root the tests that need [::1] say so.
func IPv6Main(m *testing.M) int {
	if os.Geteuid() == 0 && os.Getenv(insideEnv) == "" && os.Getenv(ownNetEnv) == "" && !hasIPv6() {
		fmt.Fprintf(os.Stderr, "this machine has no [::1], and its own network namespace cannot be had: %v\n", execInOwnNet())
	}
	return m.Run()
}

// OwnNetMain calls m.Run in a network namespace of its own, so that no listener of another
// process has a port of the tests. Without root it has to do without.
func OwnNetMain(m *testing.M) int {
	if os.Geteuid() == 0 && os.Getenv(insideEnv) == "" && os.Getenv(ownNetEnv) == "" {
		fmt.Fprintf(os.Stderr, "no network namespace for these tests: %v\n", execInOwnNet())
	}
	return m.Run()
}

func hasIPv6() bool {
	l, err := net.Listen("tcp6", "[::1]:0")
	if err == nil {
		l.Close()
	}
	return err == nil
}

// execInOwnNet returns only if it fails.
func execInOwnNet() error {
	runtime.LockOSThread() // execve(2) keeps the namespaces of the thread that calls it
	if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
		return os.NewSyscallError("unshare", err)
	}
	if err := Loopback(); err != nil {
		return err
	}
	return os.NewSyscallError("execve", syscall.Exec("/proc/self/exe", os.Args, append(os.Environ(), ownNetEnv+"=1")))
}

// Loopback brings lo up in a new network namespace.
func Loopback() error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return os.NewSyscallError("socket", err)
	}
	defer unix.Close(fd)
	r, err := unix.NewIfreq("lo")
	if err != nil {
		return err
	}
	r.SetUint16(unix.IFF_UP)
	return os.NewSyscallError("ioctl", unix.IoctlIfreq(fd, unix.SIOCSIFFLAGS, r))
}

// WithoutIPv6 takes IPv6 away from a new network namespace, as an engine does from
// a container on its bridge, and brings lo up.
func WithoutIPv6(t testing.TB) {
	t.Helper()
	// /proc/sys/net is the namespace's own.
	err := os.WriteFile("/proc/sys/net/ipv6/conf/all/disable_ipv6", []byte("1"), 0)
	Must(t, errors.Join(err, Loopback()))
	if hasIPv6() {
		t.Fatal("there is [::1]")
	}
}
