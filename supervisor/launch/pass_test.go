// SPDX-License-Identifier: Apache-2.0

package launch_test

import (
	"errors"
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/gateway-init/gateway-init/internal/testenv"
	"github.com/gateway-init/gateway-init/supervisor/launch"
)

// TestPassedDescriptors checks that the target has the passed descriptors from 3 on, in
// order, and no other. Their number decides where the report must not be. On an old kernel,
// or with an engine's older seccomp profile, each descriptor has to be marked by itself, and
// the re-exec child cannot list its own where its program cannot be read.
func TestPassedDescriptors(t *testing.T) {
	for name, calls := range map[string][]uint32{"close-range": nil, "old-kernel": {unix.SYS_CLOSE_RANGE, unix.SYS_GETDENTS64}} {
		t.Run(name, func(t *testing.T) {
			if !testenv.Inside(t, 0) {
				return
			}
			if calls != nil {
				testenv.Refuse(t, unix.ENOSYS, calls...)
			}
			for _, n := range []int{1, 2, 5, 7} {
				passed(t, n)
			}
		})
	}
}

// passed checks a target that gets n descriptors. The shell tries each number, because it
// may not be able to list them.
func passed(t *testing.T, n int) {
	c := program(t, "sh", "-c", `i=3; while [ $i -lt 10 ]; do if eval "cat <&$i" 2>/dev/null; then :; else echo -n "no "; fi; i=$((i+1)); done`)
	want := ""
	for i := range n {
		f, err := os.CreateTemp("", "passed")
		testenv.Must(t, err)
		defer f.Close()
		_, err = f.WriteAt([]byte("file "+itoa(i)+" "), 0)
		testenv.Must(t, errors.Join(err, os.Remove(f.Name()))) // t.TempDir cannot list its files here
		c.Pass = append(c.Pass, f)
		want += "file " + itoa(i) + " "
	}
	if got := output(t, c); got != want+strings.Repeat("no ", 7-n) {
		t.Errorf("%d passed: %q", n, got)
	}
}

// TestListenVariables checks the variables of sd_listen_fds(3), which replace those of the
// configuration.
func TestListenVariables(t *testing.T) {
	testenv.Root(t)
	c := program(t, "sh", "-c", `echo "$LISTEN_FDS $(( LISTEN_PID == $$ )) $(env | grep -c ^LISTEN_)"`)
	c.Spec.Env, c.Spec.Listen = append(c.Spec.Env, "LISTEN_FDS=9", "LISTEN_PID=1"), true
	c.Pass = []*os.File{c.Stdio[0], c.Stdio[0]}
	if got := output(t, c); got != "2 1 2\n" {
		t.Errorf("got %q", got)
	}
}

// TestPassedDescriptorsAndFailure checks that a failure of execve(2) is still reported when
// a passed descriptor has the place of the report.
func TestPassedDescriptorsAndFailure(t *testing.T) {
	testenv.Root(t)
	c := program(t, "/no/such/program")
	c.Pass = []*os.File{c.Stdio[0], c.Stdio[0], c.Stdio[0]}
	_, err := start(t, c)
	var f *launch.Failure
	if !errors.As(err, &f) || f.Step != launch.StepExec || f.Errno != unix.ENOENT {
		t.Errorf("got %v", err)
	}
}

// TestFileSizeLimit checks that a target cannot make a file larger than its orders say.
func TestFileSizeLimit(t *testing.T) {
	testenv.Root(t)
	c := program(t, "sh", "-c", "ulimit -f; ulimit -H -f")
	c.Spec.FileSize = 4096
	if got := output(t, c); got != "8\n8\n" { // units of 512 bytes
		t.Errorf("got %q", got)
	}
}
