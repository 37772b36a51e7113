// SPDX-License-Identifier: Apache-2.0

package reexec

import (
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/gateway-init/gateway-init/internal/sys"
	"github.com/gateway-init/gateway-init/supervisor/launch"
)

// firstPassed is the target's first passed descriptor (SD_LISTEN_FDS_START).
const firstPassed = 3

// pass gives the target n descriptors from firstPassed on. One of them takes the place of
// the report's, so pass returns the report on another descriptor.
func pass(n int) (report *os.File, err error) {
	report, err = sys.DuplicateFrom(launch.ReportFD, launch.PassFD+n, "report")
	if err != nil {
		return nil, err
	}
	for i := range n {
		if err := sys.MoveForExec(launch.PassFD+i, firstPassed+i); err != nil {
			return nil, err
		}
	}
	// The others, and the places that a shorter list leaves. Where the kernel cannot mark all
	// descriptors at once, nothing else has marked these.
	for fd := firstPassed + n; fd < launch.PassFD+n; fd++ {
		sys.CloseOnExec(fd)
	}
	return report, nil
}

// listenEnv adds the variables of sd_listen_fds(3) to env. They replace earlier ones.
func listenEnv(env []string, n int) []string {
	env = slices.DeleteFunc(env, func(kv string) bool {
		return strings.HasPrefix(kv, "LISTEN_FDS=") || strings.HasPrefix(kv, "LISTEN_PID=")
	})
	return append(env, "LISTEN_FDS="+strconv.Itoa(n), "LISTEN_PID="+strconv.Itoa(os.Getpid()))
}
