// SPDX-License-Identifier: Apache-2.0

// Package entry runs before Go's runtime in gateway-init. It is a few instructions
// of assembly. They note the settings that the process was started with and that the
// runtime is about to change. They also handle the four signals that end a container
// until the program handles them itself.
//
// The linker makes it the program's first instruction (-E, see the Makefile).
// A build without that works as any Go program does. Nothing is noted, and a child
// gets the defaults.
package entry

// Filled in by start, before the runtime and its collector exist.
var (
	noted   uint64    // 1 once start has run
	mask    uint64    // blocked signals: bit n-1 is signal n
	ignored uint64    // signals whose action was SIG_IGN
	nofile  [2]uint64 // RLIMIT_NOFILE, soft and hard
	//lint:ignore U1000 the assembly's
	limit [2]uint64 // RLIMIT_AS or RLIMIT_DATA
	//lint:ignore U1000 the assembly's
	action [4]uint64 // room for the kernel's struct sigaction
)

// refusal is the line about limits with which Go's runtime cannot start: it would print a
// trace and end with 2. The exit code is 1.
//
//lint:ignore U1000 the assembly's
var refusal = "gateway-init: cannot run: it needs 1280 MiB of address space and 80 MiB of data: " +
	"raise these limits (ulimit -v, --ulimit data=N)\n"

// start is the entry point. It has no caller, and goes on to the runtime's own.
//
// In PID 1, SIGHUP, SIGINT, SIGQUIT and SIGTERM end the process with 128+n from the
// first instruction on, unless they were ignored. In any other process the default
// action does that. Without start, a TERM that comes before os/signal listens ends
// Go's PID 1 with 2. A default action would have no effect, because the kernel drops
// it for PID 1 of a namespace (pid_namespaces(7)).
//
//lint:ignore U1000 the linker's
func start()

// State holds settings that the process was started with.
type State struct {
	Mask    uint64 // blocked signals: bit n-1 is signal n
	Ignored uint64 // signals that were ignored
	// Nofile is RLIMIT_NOFILE, soft and hard. Package syscall raises the soft limit.
	Nofile [2]uint64
}

// Noted returns the State, and false in a build without the entry point.
func Noted() (State, bool) {
	return State{Mask: mask, Ignored: ignored, Nofile: nofile}, noted == 1
}
