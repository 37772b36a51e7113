// SPDX-License-Identifier: Apache-2.0

package boot

import (
	"errors"
	"fmt"
	"io/fs"

	"github.com/gateway-init/gateway-init/internal/pathcheck"
	"github.com/gateway-init/gateway-init/supervisor/launch"
)

// launchable returns an error if a launch of the gateway would fail because its program's
// interpreter or its working directory has gone since the last one. Whatever cannot be found
// out is no error, because the launch decides.
func launchable(gateway launch.Spec) error {
	if _, err := findProgram(gateway.Argv, gateway.Env); errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("cannot execute the gateway: %w", err)
	}
	return pathcheck.WorkingDir(gateway.Dir)
}
