// SPDX-License-Identifier: Apache-2.0

// Package entry runs before Go's runtime in gatewayctl. At the pids limit Go's runtime
// ends a program with a trace of some seventy lines as soon as it needs one more thread,
// and it needs the first ones before main. So a few instructions of assembly try whether
// there is room, and otherwise end the program with one line.
//
// The linker makes it the program's first instruction (-E, see the Makefile). A build
// without that works as any Go program does.
package entry

// refusal is the line. The exit code is 1.
//
//lint:ignore U1000 the assembly's
var refusal = "gatewayctl: cannot run: the pids limit leaves no room for its threads: " +
	"end processes of the agent, or run the container with a higher --pids-limit\n"

// start is the entry point. It has no caller, and goes on to the runtime's own.
//
// It makes twelve children and reaps them when all are there, because a child that has
// ended counts until it is reaped. gatewayctl has seven or eight threads, and PID 1's
// worker, which a request may start meanwhile, has four. A child shares our memory, ends
// with its first instruction and sends no signal, so all of them take 0.2 ms. If the
// kernel refuses one for another reason than the limit, the trial is over. A process
// that takes the room after the trial can still make the runtime fail.
//
//lint:ignore U1000 the linker's
func start()
