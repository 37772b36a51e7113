// SPDX-License-Identifier: Apache-2.0

package faults

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/gateway-init/gateway-init/internal/testenv"
	"github.com/gateway-init/gateway-init/tests/ns/box"
)

// TestLogFileWithoutAppendLosesNoLine checks gateway-init CMD > log 2>&1. The command wrote
// at an offset of its own, over the first lines of PID 1 and the gateway.
func TestLogFileWithoutAppendLosesNoLine(t *testing.T) {
	f, err := os.Create(filepath.Join(t.TempDir(), "log"))
	testenv.Must(t, err)
	defer f.Close()
	const lines = 50
	b := box.Start(t, box.Options{Stdout: f, Stderr: f, Command: []string{"demotools", "stdio-all", "50"}})
	b.Wait(20 * time.Second)
	data, err := os.ReadFile(f.Name())
	testenv.Must(t, err)
	for _, want := range []string{`"event":"hardening","name":"engine-capabilities"`, `"event":"gateway-proven"`, `"event":"terminated"`, "demogateway: listening"} {
		if !strings.Contains(string(data), want) {
			t.Errorf("no %s", want)
		}
	}
	commands := 0
	for line := range strings.Lines(string(data)) {
		ours := strings.HasPrefix(line, "{") && strings.HasSuffix(line, "}\n")
		if !ours && !strings.HasPrefix(line, "demogateway: ") {
			commands++
		}
	}
	if commands != 2*lines || strings.Contains(string(data), "\x00") {
		t.Errorf("%d other lines, want %d\n%s", commands, 2*lines, data)
	}
}
