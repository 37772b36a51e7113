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

func main() { os.Exit(run(os.Args, os.Environ())) }

func run(args, env []string) int {
	if args[0] == launch.StageName {
		return stage.Run()
	}
	signals := boot.Subscribe() // before anything that can fail or take time
	debug.SetGCPercent(gcPercent)
	runtime.GOMAXPROCS(1) // one loop; on a host with 64 CPUs no more threads and caches than here
	sleepWell()
	os.Clearenv()
	return boot.Run(args, env, signals)
}
