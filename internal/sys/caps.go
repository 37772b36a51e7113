// SPDX-License-Identifier: Apache-2.0

package sys

import (
	"os"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Permitted returns the permitted capability set of the calling thread (capget(2)).
func Permitted() (uint64, error) {
	hdr := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	if err := unix.Capget(&hdr, &data[0]); err != nil {
		return 0, os.NewSyscallError("capget", err)
	}
	return uint64(data[0].Permitted) | uint64(data[1].Permitted)<<32, nil
}

// SetCaps makes set the effective and the permitted set of every thread and
// empties the inheritable one (capset(2)). Header and data are read by the
// kernel only; no thread writes the header back, because version and pid 0 are
// right for each. The call is made here and not through AllThreads, because the
// compiler keeps the target of a uintptr in place only for the call's own arguments.
func SetCaps(set uint64) error {
	hdr := &unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	data := &[2]unix.CapUserData{
		{Effective: uint32(set), Permitted: uint32(set)},
		{Effective: uint32(set >> 32), Permitted: uint32(set >> 32)},
	}
	_, _, errno := syscall.AllThreadsSyscall(unix.SYS_CAPSET, uintptr(unsafe.Pointer(hdr)), uintptr(unsafe.Pointer(data)), 0)
	if errno != 0 {
		return os.NewSyscallError("capset", errno)
	}
	return nil
}

// NoCore lowers RLIMIT_CORE, soft and hard, for this process and its children.
// The limit is one byte and not zero, because zero still lets the kernel pipe a dump
// to a core_pattern program and one does not (core(5), fs/coredump.c).
func NoCore() error {
	return os.NewSyscallError("setrlimit", unix.Setrlimit(unix.RLIMIT_CORE, &unix.Rlimit{Cur: 1, Max: 1}))
}
