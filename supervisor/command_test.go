// SPDX-License-Identifier: Apache-2.0

package supervisor

import (
	"errors"
	"slices"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/gateway-init/gateway-init/internal/procfs"
	"github.com/gateway-init/gateway-init/internal/sys"
	"github.com/gateway-init/gateway-init/supervisor/launch"
)

// TestTerminalIsLentToTheCommand checks that the terminal is lent before the fork, and taken
// back before the line about the command's end, or about a fork that was refused.
func TestTerminalIsLentToTheCommand(t *testing.T) {
	for name, refused := range map[string]error{"runs": nil, "refused": unix.EAGAIN} {
		t.Run(name, func(t *testing.T) {
			d := newFixture(t)
			var seen []string
			lines := 0
			d.c.Command = &launch.Child{Spec: launch.Spec{Argv: []string{"/agent"}}}
			d.c.Lend = func(lent bool) {
				seen = append(seen, map[bool]string{true: "lent", false: "back"}[lent])
				lines = d.log.Len()
			}
			d.kernel.start = func(launch.Child, report) (process, error, error) {
				seen = append(seen, "fork")
				return &launch.Proc{PID: nobody}, nil, refused
			}
			d.kernel.identify = func(int) (procfs.ID, error) { return procfs.ID{}, errors.New("gone") }
			d.shutdown.beginCommand()
			d.shutdown.beginCommand() // only once
			if refused == nil {
				c := d.shutdown.command
				c.exit = &sys.Exit{PID: nobody}
				d.shutdown.commandEnded(c)
			}
			if !slices.Equal(seen, []string{"lent", "fork", "back"}) || d.log.Len() == lines {
				t.Errorf("%v, with %d bytes logged after it", seen, d.log.Len()-lines)
			}
		})
	}
}
