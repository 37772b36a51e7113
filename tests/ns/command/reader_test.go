// SPDX-License-Identifier: Apache-2.0

package command

import (
	"os"
	"os/exec"
	"testing"

	"github.com/gateway-init/gateway-init/internal/testenv"
	"github.com/gateway-init/gateway-init/tests/ns/box"
)

// TestNoReader checks that a boot that only prints, or that fails, ends with its own
// code if nobody reads what it prints. Go's runtime would end it by SIGPIPE.
func TestNoReader(t *testing.T) {
	for name, c := range map[string]struct {
		args []string
		want int
	}{
		"version":   {[]string{"--config", "/etc/passwd", "--version"}, 1},
		"bad-usage": {[]string{"--config", "/etc/passwd", "--nonsense"}, 2},
		"no-config": {[]string{"--config", "/no/such/file"}, 2},
	} {
		t.Run(name, func(t *testing.T) {
			r, w, err := os.Pipe()
			testenv.Must(t, err)
			defer w.Close()
			r.Close()
			cmd := exec.Command(box.Bin(t)+"/gateway-init", c.args...)
			cmd.Stdout, cmd.Stderr = w, w
			_ = cmd.Run()
			if got := cmd.ProcessState.ExitCode(); got != c.want {
				t.Errorf("it ended with %v, want %d", cmd.ProcessState, c.want)
			}
		})
	}
}
