// SPDX-License-Identifier: Apache-2.0

package boot

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/gateway-init/gateway-init/supervisor/launch"
)

// launchable returns an error if a launch of the gateway would fail because its program's
// interpreter or its working directory has gone since the last one. Whatever cannot be found
// out is no error, because the launch decides.
func launchable(gateway launch.Spec) error {
	if _, err := findProgram(gateway.Argv, gateway.Env); errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("cannot execute the gateway: %w", err)
	}
	info, err := os.Stat(gateway.Dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("cannot enter the gateway's working_dir: %w: make it, or correct gateway.working_dir", err)
	case err == nil && !info.IsDir():
		return fmt.Errorf("cannot enter the gateway's working_dir: %s is no directory: make it one, or correct gateway.working_dir", gateway.Dir)
	}
	return nil
}
