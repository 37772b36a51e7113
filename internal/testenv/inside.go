// SPDX-License-Identifier: Apache-2.0

package testenv

import (
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// insideEnv names the test that this process was started for.
const insideEnv = "GATEWAYINIT_TEST_INSIDE"

// Inside runs the calling test once more in a process of its own, in new namespaces
// as flags say (CLONE_NEWNS, CLONE_NEWPID, ...; 0 for none), and reports whether this
// is that process. The test returns at once if it is false:
//
//	if !testenv.Inside(t, unix.CLONE_NEWNS) {
//		return
//	}
//
// Changes that the test makes to its process (drop capabilities, mount, install a
// filter) stay inside. With CLONE_NEWPID it is PID 1 and has its own /proc. A
// failure inside is a failure of the test, and so is an end of the process.
func Inside(t *testing.T, flags uintptr) bool {
	t.Helper()
	Root(t)
	if os.Getenv(insideEnv) == t.Name() {
		settle(t, flags)
		return true
	}
	var pattern []string
	for _, part := range strings.Split(t.Name(), "/") {
		pattern = append(pattern, "^"+regexp.QuoteMeta(part)+"$")
	}
	args := []string{"-test.run=" + strings.Join(pattern, "/"), "-test.v", "-test.timeout=2m"}
	if f := flag.Lookup("test.gocoverdir"); f != nil && f.Value.String() != "" {
		args = append(args, "-test.gocoverdir="+f.Value.String())
	}
	cmd := exec.Command("/proc/self/exe", args...)
	cmd.Args[0] = filepath.Base(os.Args[0])
	cmd.Env = append(os.Environ(), insideEnv+"="+t.Name())
	if flags&unix.CLONE_NEWPID != 0 {
		flags |= unix.CLONE_NEWNS // for its /proc
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: flags, Pdeathsig: syscall.SIGKILL}
	out, err := cmd.CombinedOutput()
	switch {
	case err != nil:
		t.Errorf("inside: %v\n%s", err, out)
	case !strings.Contains(string(out), "--- PASS: "+t.Name()):
		t.Errorf("inside: did not pass\n%s", out)
	default:
		t.Logf("inside:\n%s", out)
	}
	return false
}

// settle keeps mounts from spreading, and mounts the /proc of a new PID
// namespace.
func settle(t *testing.T, flags uintptr) {
	t.Helper()
	if flags&(unix.CLONE_NEWNS|unix.CLONE_NEWPID) == 0 {
		return
	}
	Must(t, unix.Mount("none", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""))
	if flags&unix.CLONE_NEWPID != 0 {
		Must(t, unix.Mount("proc", "/proc", "proc", unix.MS_NOSUID|unix.MS_NOEXEC|unix.MS_NODEV, ""))
	}
}
