// SPDX-License-Identifier: Apache-2.0

package reexec

import (
	"errors"
	"io"
	"os"

	"github.com/gateway-init/gateway-init/internal/confine"
	"github.com/gateway-init/gateway-init/supervisor/launch"
)

// errNotHeld means that PID 1 does not hold our directory in /proc. PID 1 knows why.
var errNotHeld = errors.New("PID 1 does not hold our directory in /proc")

// restrict waits until PID 1 holds our directory in /proc, and puts the rule of package
// confine into force for this thread, which executes the target.
func restrict() error {
	f := os.NewFile(launch.HoldFD, "hold")
	defer f.Close()
	said, err := io.ReadAll(io.LimitReader(f, int64(len(launch.Ready))))
	if err != nil {
		return err
	}
	if string(said) != launch.Ready {
		return errNotHeld
	}
	return confine.Restrict()
}
