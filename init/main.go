// SPDX-License-Identifier: Apache-2.0

// Command gateway-init is PID 1 of a container that runs an AI agent and its
// gateway. Package boot documents it; gatewayctl operates it.
package main

import (
	"errors"
	"os"
	"runtime"

	"github.com/gateway-init/gateway-init/init/boot"
	"github.com/gateway-init/gateway-init/init/plain"
	"github.com/gateway-init/gateway-init/internal/config"
	"github.com/gateway-init/gateway-init/supervisor/launch"
	"github.com/gateway-init/gateway-init/supervisor/reexec"
)

func main() {
	if linksCgo {
		os.Stderr.WriteString("gateway-init: built with cgo, so it cannot drop its rights: build it with CGO_ENABLED=0\n")
		os.Exit(1)
	}
	os.Exit(run(os.Args, os.Environ()))
}

func run(args, env []string) int {
	if args[0] == launch.ReexecName {
		return reexec.Run()
	}
	args = boot.WholeLine(args)
	if code, ran := runPlain(args[1:], env); ran {
		return code
	}
	boot.Shield()         // before anything that can fail or take time
	runtime.GOMAXPROCS(1) // so that boot needs fewer threads
	launch.BoundMemory()
	os.Clearenv()
	return boot.Run(args, env)
}

// runPlain runs plain init mode, for images without /etc/gateway-init, and reports
// whether it did. If the directory exists, a missing file in it is a mistake and
// never a reason to run the agent without its supervisor. An option of gateway mode
// rules out plain mode too.
func runPlain(args, env []string) (code int, ran bool) {
	if _, err := os.Lstat(config.DefaultDir); !errors.Is(err, os.ErrNotExist) {
		return 0, false
	}
	o, err := plain.Parse(args, os.LookupEnv)
	switch {
	case errors.Is(err, plain.ErrGateway):
		return 0, false
	case err != nil:
		return plain.Refuse(err), true
	}
	return plain.Run(o, env), true
}
