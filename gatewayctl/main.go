// Command gatewayctl operates gateway-init from inside its container: it asks
// PID 1 for something over the root-owned FIFO and waits for the answer, and it
// says what PID 1 published only after it has held it against the kernel.
//
// It takes no decision from its environment: whoever can choose that of a docker
// exec changes how output looks (TERM, NO_COLOR), and what the configuration
// passes on to a client. It loads no library, and starts no program but the
// client that it was asked for, and for verify-image those of the image that it
// looks at (without rights, with an empty environment, and none whose hash is not
// known) and, where an image is named, on the host, the engine (with its
// caller's environment). The manual is man/gatewayctl.1.md.
package main

import (
	"fmt"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"

	"gatewayinit/gatewayctl/client"
	"gatewayinit/gatewayctl/verify"
	"gatewayinit/gatewayctl/witness"
	"gatewayinit/internal/sys"
)

func main() {
	env, args := os.Environ(), os.Args[1:]
	os.Clearenv()
	if len(args) > 0 && args[0] == witness.Arg {
		os.Exit(bearWitness(args[1:]))
	}
	if len(args) > 0 && args[0] == verify.TrialArg {
		os.Exit(verify.Trial(args[1:]))
	}
	var err error
	if args, err = asUser(args); err != nil {
		fmt.Fprintf(os.Stderr, "gatewayctl: %v\n", err)
		os.Exit(exitFailed)
	}
	os.Exit(run(args, env, stdio{
		in: os.Stdin, out: os.Stdout, err: os.Stderr,
		inTTY: sys.IsTerminal(0), outTTY: sys.IsTerminal(1), errTTY: sys.IsTerminal(2),
		files: client.Stdio{In: os.Stdin, Out: os.Stdout, Err: os.Stderr},
	}))
}

// run does everything; its result is the exit code.
func run(args, env []string, io stdio) int {
	// A closed pipe behind stdout is an error of write(2), not our death.
	signal.Ignore(syscall.SIGPIPE)
	a := &app{stdio: io, host: thisHost(env), color: wantColor(env, io.outTTY), env: env}
	a.hardened = harden()
	return a.dispatch(args)
}

// harden closes ptrace, /proc/self and core files before there is a secret.
// RLIMIT_CORE 1 also stops a core_pattern that is a pipe, which ignores 0
// (core(5)); where the hard limit is 0 already, 1 cannot be had.
func harden() error {
	if syscall.Setrlimit(syscall.RLIMIT_CORE, &syscall.Rlimit{Cur: 1, Max: 1}) != nil {
		if err := syscall.Setrlimit(syscall.RLIMIT_CORE, &syscall.Rlimit{}); err != nil {
			return os.NewSyscallError("setrlimit", err)
		}
	}
	return sys.SetDumpable(false)
}

func wantColor(env []string, tty bool) bool {
	return tty && !slices.Contains(env, "TERM=dumb") &&
		!slices.ContainsFunc(env, func(kv string) bool { return strings.HasPrefix(kv, "NO_COLOR=") && kv != "NO_COLOR=" })
}
