package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"

	"gatewayinit/internal/status"
	"gatewayinit/internal/sys"
)

// stepDown names the variable that makes this test binary a gatewayctl token
// that gives up root for real; that cannot be undone, so it needs a process.
const stepDown = "GATEWAYCTL_TEST_STEP_DOWN"

// asMain makes this test binary gatewayctl itself.
const asMain = "GATEWAYCTL_TEST_MAIN"

func TestMain(m *testing.M) {
	if dir := os.Getenv(stepDown); dir != "" {
		os.Exit(runStepDown(dir))
	}
	if os.Getenv(asMain) != "" {
		main()
	}
	os.Exit(m.Run())
}

// runStepDown prints the token, then what became of the process.
func runStepDown(dir string) int {
	a := &app{stdio: stdio{out: os.Stdout, err: os.Stderr}, host: thisHost()}
	a.hardened = harden()
	a.runtimeDir = dir
	a.process = func(status.Process) error { return nil } // no PID 1 of ours here
	if code := a.dispatch([]string{"token"}); code != exitOK {
		return code
	}
	p, err := readProcStatus(os.Getpid())
	groups, err2 := os.Getgroups()
	dumpable, err3 := sys.Dumpable()
	fmt.Println(p.uids, os.Getgid(), groups, dumpable, errors.Join(err, err2, err3))
	return exitOK
}

// TestTokenStepsDown: uid, gid and groups of every thread are the gateway's, it
// stays undumpable, and root is gone for good.
func TestTokenStepsDown(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root")
	}
	const uid = 54321
	w := newWorld(t)
	w.up()
	must(t, os.Chown(w.record.Token.Path, uid, uid+1))
	w.record.Token.UID, w.record.Token.GID = uid, uid+1
	w.publish()
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = []string{stepDown + "=" + w.path}
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	must(t, err)
	want := fmt.Sprintf("%s\n[%d %d %d %d] %d [] false <nil>\n", hexToken, uid, uid, uid, uid, uid+1)
	if string(out) != want || strings.Contains(stderr.String(), "gatewayctl:") {
		t.Errorf("printed %q and %q, want %q", out, stderr.String(), want)
	}
}
