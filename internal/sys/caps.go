package sys

import (
	"os"

	"golang.org/x/sys/unix"
)

// Permitted is the permitted capability set of the calling thread (capget(2)).
func Permitted() (uint64, error) {
	hdr := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	if err := unix.Capget(&hdr, &data[0]); err != nil {
		return 0, os.NewSyscallError("capget", err)
	}
	return uint64(data[0].Permitted) | uint64(data[1].Permitted)<<32, nil
}

// InBoundingSet tells whether the calling thread's bounding set has capability
// c. EINVAL: the kernel does not know c.
func InBoundingSet(c uintptr) (bool, error) {
	v, err := unix.PrctlRetInt(unix.PR_CAPBSET_READ, c, 0, 0, 0)
	return v == 1, os.NewSyscallError("prctl", err)
}

// NoCore lowers RLIMIT_CORE, soft and hard, for this process and its children.
// One byte and not zero: zero still lets the kernel pipe a dump to a
// core_pattern program, one does not (core(5), fs/coredump.c).
func NoCore() error {
	return os.NewSyscallError("setrlimit", unix.Setrlimit(unix.RLIMIT_CORE, &unix.Rlimit{Cur: 1, Max: 1}))
}
