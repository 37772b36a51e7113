// SPDX-License-Identifier: Apache-2.0

package launch_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/gateway-init/gateway-init/internal/testenv"
	"github.com/gateway-init/gateway-init/supervisor/launch"
)

// TestPassedDescriptors checks that the target has the passed descriptors from 3 on, in
// order, and no other. Their number decides where the report must not be.
func TestPassedDescriptors(t *testing.T) {
	testenv.Root(t)
	for _, n := range []int{1, 2, 5, 7} {
		c := program(t, "sh", "-c", `ls /proc/self/fd | sort -n | tr '\n' ' '; i=3; while [ $i -lt $N ]; do eval "cat <&$i"; i=$((i+1)); done`)
		c.Spec.Env = append(c.Spec.Env, "N="+itoa(3+n))
		want, digits := "", []string{}
		for i := range n {
			name := filepath.Join(t.TempDir(), itoa(i))
			testenv.Must(t, os.WriteFile(name, []byte("file "+itoa(i)+" "), 0o644))
			f, err := os.Open(name)
			testenv.Must(t, err)
			defer f.Close()
			c.Pass = append(c.Pass, f)
			want += "file " + itoa(i) + " "
		}
		for i := range 3 + n {
			digits = append(digits, itoa(i))
		}
		got := output(t, c)
		fds, contents, ok := strings.Cut(got, "file")
		// ls has one more, for the directory that it lists.
		if list := strings.Fields(fds); !ok || "file"+contents != want || len(list) != 4+n || strings.Join(list[:3+n], " ") != strings.Join(digits, " ") {
			t.Errorf("%d passed: %q", n, got)
		}
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
