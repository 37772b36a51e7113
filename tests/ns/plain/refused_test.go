// SPDX-License-Identifier: Apache-2.0

package plain

import (
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// under describes a kernel, or a seccomp profile, that refuses a system call.
func under(t *testing.T, call int, env ...string) how {
	t.Helper()
	_, self := listener(t)
	return how{env: append(env, "PLAIN_TEST=refuse"), before: []string{self, strconv.Itoa(call)}}
}

// TestNoPidfd checks that signals go to the pid before Linux 5.3.
func TestNoPidfd(t *testing.T) {
	r := start(t, under(t, unix.SYS_PIDFD_OPEN), "bash", "-c", `trap "echo usr1" USR1; trap "echo term; exit 3" TERM; echo ready; while :; do sleep 0.02; done`)
	r.waitFor("ready")
	r.signal(int(unix.SIGUSR1))
	r.waitFor("usr1")
	r.signal(int(unix.SIGTERM))
	if code := r.ended(); code != 3 || !strings.Contains(r.stdout(), "term") {
		t.Errorf("exit code %d", code)
	}
}

// TestNoTimer checks that leftover processes are killed at once if there is no
// timer, because the wait could be endless. A message reports that.
func TestNoTimer(t *testing.T) {
	r := start(t, under(t, unix.SYS_TIMER_CREATE), "--grace", "10m", "bash", "-c", `cd "$0"; (trap "" TERM; >a; while :; do sleep 0.02; done) & while ! [ -e a ]; do sleep 0.02; done; exit 5`, t.TempDir())
	if code := r.ended(); code != 5 || !strings.Contains(r.stderr(), "no grace") {
		t.Errorf("exit code %d", code)
	}
}

// TestRefusedByKernel checks that we exit with 1 and one line if the kernel refuses
// a request. Nothing is run.
func TestRefusedByKernel(t *testing.T) {
	for name, c := range map[string]struct {
		call int
		args []string
		want string
	}{
		"subreaper":    {unix.SYS_PRCTL, []string{"-s"}, "cannot become a subreaper"},
		"parent-death": {unix.SYS_PRCTL, []string{"-p", "TERM"}, "cannot get SIGTERM when our parent ends"},
		"user":         {unix.SYS_SETGROUPS, []string{"--user", "nobody"}, "setgroups"},
		"capabilities": {unix.SYS_CAPSET, []string{"--drop-caps"}, "capset"},
	} {
		r := start(t, under(t, c.call), append(c.args, "echo", "ran")...)
		if code := r.ended(); code != 1 || !strings.Contains(r.stderr(), c.want) || r.stdout() != "" {
			t.Errorf("%s: exit code %d, stderr %q", name, code, r.stderr())
		}
	}
	r := start(t, under(t, unix.SYS_WAITID), "echo", "ran")
	if code := r.ended(); code != 1 || !strings.Contains(r.stderr(), "cannot wait for") {
		t.Errorf("no wait: exit code %d, stderr %q", code, r.stderr())
	}
}

// TestGatewayOptions checks that options of gateway mode never start a plain init.
func TestGatewayOptions(t *testing.T) {
	for want, args := range map[string][]string{
		"cannot find /etc/gateway-init": {"--no-gateway", "echo", "ran"},
		"/no/such/config.json":          {"--config", "/no/such/config.json", "echo", "ran"},
		"unknown option \"-s\"":         {"-s", "--config=/no/such/file", "echo", "ran"}, // gateway mode does not have tini's options
	} {
		r := start(t, how{}, args...)
		if code := r.ended(); code != 2 || !strings.Contains(r.stderr(), want) || strings.Count(r.stderr(), "\n") != 1 || r.stdout() != "" {
			t.Errorf("%v: exit code %d, stderr %q", args, code, r.stderr())
		}
	}
}
