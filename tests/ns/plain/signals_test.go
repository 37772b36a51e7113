// SPDX-License-Identifier: Apache-2.0

package plain

import (
	"fmt"
	"os/exec"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/gateway-init/gateway-init/internal/testenv"
)

// TestAllSignals checks that every signal from 1 to 64 that we are sent reaches the
// command. Exceptions are SIGCHLD, which we use, and SIGKILL and SIGSTOP. Go's
// runtime uses SIGURG, SIGPROF and 32 to 34 itself; they are forwarded too. A fault
// signal that is only sent does not end us.
func TestAllSignals(t *testing.T) {
	env, self := listener(t)
	for _, h := range []how{{env: env}, {env: env, beside: true}} {
		r := start(t, h, "-s", self)
		r.waitFor("ready")
		for sig := 1; sig <= 64; sig++ {
			if s := unix.Signal(sig); s == unix.SIGKILL || s == unix.SIGSTOP || s == unix.SIGCHLD {
				continue
			}
			r.signal(sig)
			r.waitFor(fmt.Sprintf("got %d\n", sig))
		}
		r.signal(int(unix.SIGCHLD))
		r.signal(int(unix.SIGCONT)) // a forwarded SIGCHLD would arrive before SIGCONT
		testenv.Eventually(t, "a second SIGCONT", func() bool { return strings.Count(r.stdout(), "got 18\n") == 2 })
		if strings.Contains(r.stdout(), "got 17\n") {
			t.Error("SIGCHLD was forwarded")
		}
	}
}

// TestRewrite checks dumb-init's -r, by number and by name. 0 drops the signal.
func TestRewrite(t *testing.T) {
	env, self := listener(t)
	r := start(t, how{env: env}, "-r", "15:2", "--rewrite=SIGHUP:usr1", "-r", "SIGRTMIN+1:RTMAX-1", "--rewrite", "quit:0", self)
	r.waitFor("ready")
	for sent, want := range map[int]int{15: 2, 1: 10, 35: 63} {
		r.signal(sent)
		r.waitFor(fmt.Sprintf("got %d\n", want))
	}
	r.signal(int(unix.SIGQUIT))
	r.signal(int(unix.SIGWINCH))
	r.waitFor("got 28\n")
	for _, none := range []int{15, 1, 35, 3} {
		if strings.Contains(r.stdout(), fmt.Sprintf("got %d\n", none)) {
			t.Errorf("%d came through", none)
		}
	}
}

// TestGroup checks that with -g every process of the command's group gets the
// signal. Without -g or after -c only the command gets it.
func TestGroup(t *testing.T) {
	env, self := listener(t)
	for name, c := range map[string]struct {
		args []string
		env  []string
		want int
	}{
		"alone": {nil, nil, 1}, "g": {[]string{"-g"}, nil, 2}, "env": {nil, []string{"TINI_KILL_PROCESS_GROUP="}, 2},
		"c": {[]string{"-g", "-c"}, nil, 1}, "single-child": {[]string{"-g", "--single-child"}, nil, 1},
	} {
		r := start(t, how{env: append(env, c.env...)}, append(c.args, "sh", "-c", self+` & exec "$0"`, self)...)
		testenv.Eventually(t, name+": both are ready", func() bool { return strings.Count(r.stdout(), "ready\n") == 2 })
		r.signal(int(unix.SIGUSR1))
		r.waitFor("got 10\n")
		r.signal(int(unix.SIGUSR2))
		testenv.Eventually(t, name+": the last one", func() bool { return strings.Count(r.stdout(), "got 12\n") == c.want })
		if got := strings.Count(r.stdout(), "got 10\n"); got != c.want {
			t.Errorf("%s: %d got it, want %d", name, got, c.want)
		}
	}
}

// TestEarlyTerm checks that a container that is stopped during its start exits at
// once and with 143. The signal may come before Go's runtime has handlers, before
// the command exists, or later. (Before our first instructions the kernel drops it,
// for every PID 1.)
func TestEarlyTerm(t *testing.T) {
	for range 100 {
		r := start(t, how{}, "sleep", "1000")
		testenv.Eventually(t, "the first handler", func() bool {
			return testenv.Status(t, fmt.Sprintf("/proc/%d/status", r.cmd.Process.Pid))["SigCgt"] != "0000000000000000"
		})
		r.signal(int(unix.SIGTERM))
		if code := r.ended(); code != 143 {
			t.Fatalf("exit code %d", code)
		}
	}
}

// TestWhileItEnds sends a signal while the command exits. The command may or may
// not get it, and the exit code is one of the two.
func TestWhileItEnds(t *testing.T) {
	for range 50 {
		r := start(t, how{}, "true")
		for {
			if r.cmd.Process.Signal(unix.SIGUSR1) != nil {
				break // it has exited
			}
		}
		if code := r.ended(); code != 0 && code != 128+int(unix.SIGUSR1) {
			t.Fatalf("exit code %d", code)
		}
	}
}

// TestStopped checks that a stopped command does not count as exited, and
// continues.
func TestStopped(t *testing.T) {
	r := start(t, how{}, "sh", "-c", "echo ready; kill -STOP $$; echo again; exit 4")
	r.waitFor("ready")
	testenv.Eventually(t, "it is stopped", func() bool {
		for _, pid := range r.children() {
			if testenv.Status(t, "/proc/"+pid+"/status")["State"] == "T (stopped)" {
				return true
			}
		}
		return false
	})
	r.signal(int(unix.SIGCONT))
	if code := r.ended(); code != 4 || !strings.Contains(r.stdout(), "again") {
		t.Errorf("exit code %d", code)
	}
}

// TestInherited checks that the command starts with our initial signal mask,
// ignored signals and limit of descriptors. Go's runtime has changed all three.
func TestInherited(t *testing.T) {
	_, self := listener(t)
	cat := []string{"-s", "cat", "/proc/self/status"}
	// The tests themselves may run with ignored signals.
	direct, err := exec.Command(cat[1], cat[2:]...).Output()
	testenv.Must(t, err)
	base := fields(string(direct))
	with := func(field string, more uint64) string {
		set, err := strconv.ParseUint(base[field], 16, 64)
		testenv.Must(t, err)
		return fmt.Sprintf("%016x", set|more)
	}
	for name, c := range map[string]struct {
		h                how
		blocked, ignored uint64
	}{
		"nothing": {how{}, 0, 0},
		"ignored": {how{before: []string{"bash", "-c", `trap "" HUP USR1 TERM CHLD URG RTMIN+6 PIPE; exec "$0" "$@"`}}, 0, 0x8000415201},
		"blocked": {how{before: []string{self}, env: []string{"PLAIN_TEST=block"}}, 0x8000004200, 0},
	} {
		for _, c.h.beside = range []bool{false, true} {
			out, _ := output(t, c.h, cat...)
			f := fields(out)
			if f["SigBlk"] != with("SigBlk", c.blocked) || f["SigIgn"] != with("SigIgn", c.ignored) || f["SigCgt"] != none {
				t.Errorf("%s: blocked %s, ignored %s, caught %s", name, f["SigBlk"], f["SigIgn"], f["SigCgt"])
			}
		}
	}
	out, _ := output(t, how{before: []string{"sh", "-c", `ulimit -Sn 321; exec "$0" "$@"`}}, "sh", "-c", "ulimit -Sn; ulimit -Hn")
	hard, err := exec.Command("sh", "-c", "ulimit -Hn").Output()
	testenv.Must(t, err)
	if out != "321\n"+string(hard) {
		t.Errorf("the limits of descriptors are %q", out)
	}
}

// TestParentDeath checks -p, for an init whose parent dies without a signal.
func TestParentDeath(t *testing.T) {
	r := start(t, how{beside: true, before: []string{"sh", "-c", `"$0" "$@" & wait`}}, "-s", "-p", "USR2", "--",
		"sh", "-c", `trap "echo got it; exit" USR2; echo ready; while :; do sleep 0.05; done`)
	r.waitFor("ready")
	testenv.Must(t, r.cmd.Process.Kill())
	r.waitFor("got it")
}
