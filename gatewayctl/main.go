// SPDX-License-Identifier: Apache-2.0

// Command gatewayctl operates gateway-init from inside its container. It sends
// requests to PID 1 over the root-owned FIFO and waits for the answers. It shows
// the status that PID 1 published only after a check against the kernel.
//
// It takes no decision from its environment. A user that can choose the environment
// of a docker exec changes how output looks (TERM, NO_COLOR), and which values the
// configuration passes on to a client. gatewayctl loads no library. It starts no
// program but the client that it was asked for. Only verify-image also starts programs of
// the image: without rights, with an empty environment, and only if their hash is known.
// For an image by name it starts the engine on the host, with its caller's environment.
// The manual is man/gatewayctl.1.md.
package main

import (
	"fmt"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"

	"github.com/gateway-init/gateway-init/gatewayctl/client"
	_ "github.com/gateway-init/gateway-init/gatewayctl/entry" // the program's first instructions
	"github.com/gateway-init/gateway-init/gatewayctl/operate"
	"github.com/gateway-init/gateway-init/gatewayctl/verify"
	"github.com/gateway-init/gateway-init/internal/sys"
)

func main() {
	env, args := os.Environ(), os.Args[1:]
	os.Clearenv()
	if len(args) > 0 && args[0] == verify.ProgramRunArg {
		os.Exit(verify.ProgramRun(args[1:]))
	}
	os.Exit(run(args, env, stdio{
		in: os.Stdin, out: os.Stdout, err: os.Stderr,
		inTTY: sys.IsTerminal(0), outTTY: sys.IsTerminal(1), errTTY: sys.IsTerminal(2),
		files: client.Stdio{In: os.Stdin, Out: os.Stdout, Err: os.Stderr},
	}))
}

// run runs the command line and returns the exit code.
func run(args, env []string, io stdio) int {
	if err := checkDescriptors(); err != nil {
		fmt.Fprintf(io.err, "gatewayctl: %v\n", err)
		return exitFailed
	}
	// If the pipe behind stdout is closed, write(2) fails and we are not killed.
	signal.Ignore(syscall.SIGPIPE)
	a := newApp(env, io)
	a.local.Hardened = harden()
	return a.dispatch(args)
}

// minDescriptors is enough for each command. With a few, Go's runtime prints a trace and
// ends the program when it opens its poller.
const minDescriptors = 32

// checkDescriptors returns an error if the limit of open files is too low. Go has raised the
// soft limit to the hard one before main.
func checkDescriptors() error {
	var have syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &have); err == nil && have.Cur < minDescriptors {
		return fmt.Errorf("cannot run with %d file descriptors: raise the limit to %d (ulimit -n)", have.Cur, minDescriptors)
	}
	return nil
}

func newApp(env []string, io stdio) *app {
	return &app{stdio: io, color: wantColor(env, io.outTTY), env: env, local: operate.NewLocal(env), kernel: newClientKernel()}
}

// harden closes ptrace, /proc/self and core files before there is a secret.
// RLIMIT_CORE 1 also stops a core_pattern that is a pipe, which ignores 0
// (core(5)). If the hard limit is already 0, it cannot be raised to 1.
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
