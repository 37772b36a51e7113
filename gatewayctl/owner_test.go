// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/gateway-init/gateway-init/internal/procfs"
	"github.com/gateway-init/gateway-init/internal/sys"
)

// asReader names the variable that makes this test binary a gatewayctl token with
// the rights of the README's flags. The process cannot regain the other rights.
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

// runReader prints the token, then the state of the process.
func runReader(dir string) int {
	const readme = 1<<unix.CAP_CHOWN | 1<<unix.CAP_KILL | 1<<unix.CAP_SETGID | 1<<unix.CAP_SETUID | 1<<unix.CAP_SETPCAP
	a := newApp(nil, stdio{out: os.Stdout, err: os.Stderr})
	a.local.Hardened = errors.Join(harden(), sys.SetCaps(readme))
	a.local.RuntimeDir = dir
	a.local.Process = func(procfs.ID) error { return nil } // this test has no PID 1
	if code := a.dispatch([]string{"token"}); code != exitOK {
		return code
	}
	p, err := procfs.ReadStatus(os.Getpid())
	dumpable, err2 := sys.Dumpable()
	fmt.Println(p.UIDs, dumpable, errors.Join(err, err2))
	return exitOK
}

// TestTokenAsRoot checks that root without CAP_DAC_OVERRIDE, as with the README's
// flags, reads its own file and no other, and stays undumpable.
func TestTokenAsRoot(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root")
	}
	for name, c := range map[string]struct {
		uid uint32
		out string
		err string
	}{
		"root":    {0, hexToken + "\n[0 0 0 0] false <nil>\n", ""},
		"gateway": {54321, "", ": changed: the record names uid 54321 as its owner, not 0\n"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newFixture(t)
			w.up()
			must(t, os.Chown(w.record.Token.Path, int(c.uid), int(c.uid)))
			w.record.Token.UID, w.record.Token.GID = c.uid, c.uid
			w.publish()
			cmd := exec.Command("/proc/self/exe")
			cmd.Env = []string{asReader + "=" + w.path}
			var stderr strings.Builder
			cmd.Stderr = &stderr
			out, err := cmd.Output()
			if string(out) != c.out || (err == nil) != (c.err == "") || !strings.Contains(stderr.String(), c.err) || c.err == "" && stderr.Len() > 0 {
				t.Errorf("printed %q and %q, %v, want %q and %q", out, stderr.String(), err, c.out, c.err)
			}
		})
	}
}
