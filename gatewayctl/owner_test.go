package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"gatewayinit/internal/prockey"
	"gatewayinit/internal/status"
	"gatewayinit/internal/sys"
)

// asReader names the variable that makes this test binary a gatewayctl token
// with the rights of the README's flags; giving up the others cannot be undone.
const asReader = "GATEWAYCTL_TEST_READER"

// asMain makes this test binary gatewayctl itself.
const asMain = "GATEWAYCTL_TEST_MAIN"

func TestMain(m *testing.M) {
	if dir := os.Getenv(asReader); dir != "" {
		os.Exit(runReader(dir))
	}
	if os.Getenv(asMain) != "" {
		main()
	}
	os.Exit(m.Run())
}

// runReader prints the token, then what became of the process.
func runReader(dir string) int {
	const readme = 1<<unix.CAP_CHOWN | 1<<unix.CAP_KILL | 1<<unix.CAP_SETGID | 1<<unix.CAP_SETUID | 1<<unix.CAP_SETPCAP
	a := &app{stdio: stdio{out: os.Stdout, err: os.Stderr}, host: thisHost(nil)}
	a.hardened = errors.Join(harden(), sys.SetCaps(readme))
	a.runtimeDir = dir
	a.process = func(status.Process) error { return nil } // no PID 1 of ours here
	if code := a.dispatch([]string{"token"}); code != exitOK {
		return code
	}
	p, err := prockey.ReadStatus(os.Getpid())
	dumpable, err2 := sys.Dumpable()
	fmt.Println(p.UIDs, dumpable, errors.Join(err, err2))
	return exitOK
}

// TestTokenAsOwner: a root that may not read other people's files reads this
// one, and is root and undumpable before and after: nobody of the gateway's uid
// can stop or trace it.
func TestTokenAsOwner(t *testing.T) {
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
	cmd.Env = []string{asReader + "=" + w.path}
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if want := hexToken + "\n[0 0 0 0] false <nil>\n"; err != nil || string(out) != want || stderr.Len() > 0 {
		t.Errorf("printed %q and %q, %v, want %q", out, stderr.String(), err, want)
	}
}
