// Command gateway-init is PID 1 of a container that runs an AI agent and its
// gateway. Package boot is its manual; gatewayctl operates it.
package main

import (
	"os"
	"runtime"
	"runtime/debug"

	"gatewayinit/internal/boot"
	"gatewayinit/internal/launch"
	"gatewayinit/internal/stage"
)

// gcPercent keeps the heap near what is live: Go's default would let it grow to
// 4 MiB before the first collection, which is all that PID 1 may use.
const gcPercent = 10

// memoryLimit is far beyond what PID 1 ever has. It is a goal for the heap while
// collections are off for a fork: without any the runtime takes the heap for a
// huge one and backs its own tables with huge pages, 2 MiB for good.
const memoryLimit = 64 << 20

func main() { os.Exit(run(os.Args, os.Environ())) }

func run(args, env []string) int {
	if args[0] == launch.StageName {
		return stage.Run()
	}
	signals := boot.Subscribe() // before anything that can fail or take time
	debug.SetGCPercent(gcPercent)
	debug.SetMemoryLimit(memoryLimit)
	runtime.GOMAXPROCS(2) // the loop, and who frees it from a fork that hangs; no more on a host with 64 CPUs
	sleepWell()
	os.Clearenv()
	return boot.Run(args, env, signals)
}
