// Package entry is what runs before Go's runtime in gateway-init: a few
// instructions of assembly that note what the process was started with and the
// runtime is about to change, and give the four signals that end a container an
// answer for the time until somebody listens.
//
// The linker makes it the program's first instruction (-E, see the Makefile).
// A build without that works as any Go program does: nothing is noted, and a
// child gets the defaults.
package entry

// Filled in by start, before the runtime and its collector exist.
var (
	noted   uint64    // 1 once start has run
	mask    uint64    // blocked signals: bit n-1 is signal n
	ignored uint64    // signals whose action was SIG_IGN
	nofile  [2]uint64 // RLIMIT_NOFILE, soft and hard
	//lint:ignore U1000 the assembly's
	action [4]uint64 // room for a struct sigaction of the kernel's
)

// start is the entry point: it has no caller, and goes on to the runtime's own.
//
// As PID 1 (and only there, because everywhere else the default action does it)
// SIGHUP, SIGINT, SIGQUIT and SIGTERM end the process with 128+n from the first
// instruction on, unless they were ignored. Without it a TERM that comes before
// os/signal listens ends Go's PID 1 with 2, and a default action would be none:
// the kernel drops it for PID 1 of a namespace (pid_namespaces(7)).
//
//lint:ignore U1000 the linker's
func start()

// State is what the process was started with.
type State struct {
	Mask    uint64 // blocked signals: bit n-1 is signal n
	Ignored uint64 // signals that were ignored
	// Nofile is RLIMIT_NOFILE, soft and hard: package syscall raises the soft one.
	Nofile [2]uint64
}

// Noted returns it, and false in a build without the entry point.
func Noted() (State, bool) {
	return State{Mask: mask, Ignored: ignored, Nofile: nofile}, noted == 1
}
