// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"os"
	"os/exec"
	"strings"
	"testing"
)

// gatewayctl runs the program itself, in its own environment.
func gatewayctl(t *testing.T, env []string, stdout *os.File, args ...string) (code int, out, err string) {
	t.Helper()
	cmd := exec.Command("/proc/self/exe", args...)
	cmd.Env = append([]string{asMain + "=1"}, env...)
	var o, e strings.Builder
	cmd.Stdout, cmd.Stderr = &o, &e
	if stdout != nil {
		cmd.Stdout = stdout
	}
	runErr := cmd.Run()
	if exit := (*exec.ExitError)(nil); runErr != nil && !errors.As(runErr, &exit) {
		t.Fatal(runErr)
	}
	return cmd.ProcessState.ExitCode(), o.String(), e.String()
}

// TestClosedPipe checks that a closed stdout gives one line and an exit code.
func TestClosedPipe(t *testing.T) {
	r, w, err := os.Pipe()
	must(t, err)
	must(t, r.Close())
	defer w.Close()
	code, _, stderr := gatewayctl(t, nil, w, "help")
	if code != exitFailed || !strings.Contains(stderr, "cannot write to stdout") {
		t.Errorf("exit code %d, stderr %q", code, stderr)
	}
}

func TestFullDisk(t *testing.T) {
	w, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Skip("no /dev/full")
	}
	defer w.Close()
	code, _, stderr := gatewayctl(t, nil, w, "version")
	if code != exitFailed || !strings.Contains(stderr, "cannot write to stdout") {
		t.Errorf("exit code %d, stderr %q", code, stderr)
	}
}

// TestFewDescriptors checks that a low limit of open files gives one line, and no trace of
// Go's runtime.
func TestFewDescriptors(t *testing.T) {
	self, err := os.Executable()
	must(t, err)
	for limit, want := range map[string]string{"4": "4 file descriptors", "8": "8 file descriptors", "31": "31 file descriptors", "32": "NO SUPERVISOR"} {
		cmd := exec.Command("sh", "-c", `ulimit -n "$1"; exec "$0" --runtime-dir "$2" status`, self, limit, t.TempDir())
		cmd.Env = []string{asMain + "=1"}
		out, _ := cmd.CombinedOutput()
		if text := string(out); !strings.Contains(text, want) || strings.Contains(text, "goroutine") || want != "NO SUPERVISOR" && strings.Count(text, "\n") != 1 {
			t.Errorf("%s: %s", limit, text)
		}
	}
}

// TestEnvironmentHasNoEffect is scenario G04 in small.
func TestEnvironmentHasNoEffect(t *testing.T) {
	hostile := []string{"LD_PRELOAD=/evil.so", "LD_LIBRARY_PATH=/evil", "NODE_OPTIONS=--require /evil", "PATH=/evil",
		"GODEBUG=netdns=cgo,execerrdot=0", "TZ=/evil", "HOME=/evil", "LANG=xx", "XDG_RUNTIME_DIR=/evil", "TMPDIR=/evil"}
	dir := t.TempDir()
	for _, verb := range []string{"status", "health", "metrics", "restart", "token", "version"} {
		code, out, stderr := gatewayctl(t, nil, nil, "--runtime-dir", dir, verb)
		code2, out2, stderr2 := gatewayctl(t, hostile, nil, "--runtime-dir", dir, verb)
		if code != code2 || out != out2 || stderr != stderr2 {
			t.Errorf("%s: %d %q %q became %d %q %q", verb, code, out, stderr, code2, out2, stderr2)
		}
	}
}
