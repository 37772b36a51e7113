// SPDX-License-Identifier: Apache-2.0

package command

import (
	"errors"
	"fmt"
	"os"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/gateway-init/gateway-init/internal/status"
	"github.com/gateway-init/gateway-init/tests/ns/box"
)

// TestCommandHasTheContainersDirectory checks that the command starts in the container's
// working directory, also in one that its user, or PID 1 itself, may not enter. PID 1 is
// in / afterwards.
func TestCommandHasTheContainersDirectory(t *testing.T) {
	eachMode(t, func(t *testing.T, args []string) {
		for name, dir := range map[string]box.Entry{
			"open":            {Path: "/work/open", Type: unix.S_IFDIR, Mode: 0o755},
			"of-root-alone":   {Path: "/work/root", Type: unix.S_IFDIR, Mode: 0o700},
			"of-another-user": {Path: "/work/other", Type: unix.S_IFDIR, Mode: 0o700, UID: box.OperatorUID},
		} {
			t.Run(name, func(t *testing.T) {
				b := box.Start(t, box.Options{Args: args, Command: []string{"/usr/local/bin/demotools", "sleep", "600"}, Plant: []box.Entry{dir}, Dir: dir.Path})
				var pid int
				b.WaitRecord(patience, "the command", func(r status.Record) error {
					if r.Command == nil || r.Command.PID == 0 {
						return errors.New("it does not run")
					}
					pid = r.Command.PID
					return nil
				})
				for path, want := range map[string]string{fmt.Sprintf("/proc/%d/cwd", pid): dir.Path, "/proc/1/cwd": "/"} {
					if got, err := os.Readlink(b.Path(path)); err != nil || got != want {
						t.Errorf("%s is %q, %v, want %q", path, got, err, want)
					}
				}
			})
		}
	})
}
