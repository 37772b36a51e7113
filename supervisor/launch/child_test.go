// SPDX-License-Identifier: Apache-2.0

package launch_test

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"unsafe"

	"github.com/creack/pty"
	"golang.org/x/sys/unix"

	"github.com/gateway-init/gateway-init/internal/privs"
	"github.com/gateway-init/gateway-init/internal/sys"
	"github.com/gateway-init/gateway-init/internal/testenv"
	"github.com/gateway-init/gateway-init/supervisor/launch"
	"github.com/gateway-init/gateway-init/tokenfile"
)

func itoa(n int) string { return strconv.Itoa(n) }

// fields returns the fields of /proc/PID/stat after the name (proc_pid_stat(5)):
// state, ppid, pgrp, session, ...
func fields(stat string) []string { return strings.Fields(stat[strings.LastIndex(stat, ")")+1:]) }

const none = "0000000000000000"

// TestChild checks that a child has none of PID 1's signal handlers, descriptors,
// rights and umask.
func TestChild(t *testing.T) {
	if !testenv.Inside(t, 0) {
		return
	}
	asPID1(t)
	for range 50 { // descriptors that an engine forgot to close
		if _, err := unix.Open("/dev/null", unix.O_RDONLY, 0); err != nil {
			t.Fatal(err)
		}
	}
	os.Setenv("SECRET_OF_PID1", "x")
	syscall.Umask(0o077)
	privs.Drop(privs.Needed)

	status := map[string]string{}
	for line := range strings.Lines(output(t, program(t, "cat", "/proc/self/status"))) {
		key, value, _ := strings.Cut(line, ":")
		status[key] = strings.Join(strings.Fields(value), " ")
	}
	u := itoa(gateway)
	for key, want := range map[string]string{
		"Uid": strings.Join([]string{u, u, u, u}, " "), "Gid": strings.Join([]string{u, u, u, u}, " "),
		"Groups": itoa(gateway+10) + " " + itoa(gateway+11), "Umask": "0007", "NoNewPrivs": "1", "TracerPid": "0",
		"CapInh": none, "CapPrm": none, "CapEff": none, "CapBnd": none, "CapAmb": none,
		"SigBlk": none, "SigIgn": none, "SigCgt": none,
	} {
		if status[key] != want {
			t.Errorf("%s is %q, want %q", key, status[key], want)
		}
	}
	if got, want := output(t, program(t, "cat", "/proc/self/environ")), "PATH=/usr/bin:/bin\x00A=b\x00"; got != want {
		t.Errorf("its environment is %q, want %q", got, want)
	}
	if got := output(t, program(t, "ls", "-1", "/proc/self/fd")); got != "0\n1\n2\n3\n" { // 3 is the directory that ls reads
		t.Errorf("its descriptors are %q", got)
	}
	stat := fields(output(t, program(t, "cat", "/proc/self/stat")))
	if pid := output(t, program(t, "sh", "-c", "read pid rest </proc/self/stat; echo $$ $PPID")); !strings.HasSuffix(pid, " "+itoa(os.Getpid())+"\n") {
		t.Errorf("its parent is in %q", pid)
	}
	if stat[2] != stat[3] || stat[1] != itoa(os.Getpid()) || stat[2] == itoa(syscall.Getpgrp()) {
		t.Errorf("parent, group and session are %v", stat[1:4])
	}
	if got := output(t, program(t, "cat", "/proc/self/oom_score_adj")); got != "200\n" {
		t.Errorf("oom_score_adj is %q", got)
	}
	if got := output(t, program(t, "cat", "/proc/self/cmdline")); got != "cat\x00/proc/self/cmdline\x00" {
		t.Errorf("its command line is %q", got)
	}
	there := program(t, "pwd", "-P")
	there.Spec.Dir = "/usr/bin"
	if got := output(t, there); got != "/usr/bin\n" {
		t.Errorf("its directory is %q", got)
	}
	alone := program(t, "cat", "/proc/self/status")
	alone.Groups = nil
	if got := output(t, alone); !strings.Contains(got, "\nGroups:\t \n") {
		t.Error("it has groups of ours")
	}
}

// TestBytesArriveUnchanged checks that arguments, variables and the directory reach the
// target byte by byte. They need not be UTF-8.
func TestBytesArriveUnchanged(t *testing.T) {
	testenv.Root(t)
	d, err := os.MkdirTemp("", "caf\xe9")
	testenv.Must(t, errors.Join(err, os.Chmod(d, 0o755)))
	defer os.RemoveAll(d)
	c := program(t, "sh", "-c", `pwd; printf '%s|' "$@"; cat /proc/self/environ`, "sh", "caf\xe9", "\xff<&>\u2028\n\x01", "")
	c.Spec.Dir, c.Spec.Env = d, []string{"PATH=/usr/bin:/bin", "LATIN=\xe9\xff\xfe", "PWD=" + d}
	want := d + "\ncaf\xe9|\xff<&>\u2028\n\x01||"
	if got := output(t, c); !strings.HasPrefix(got, want) || !strings.Contains(got, "\x00LATIN=\xe9\xff\xfe\x00") {
		t.Errorf("got %q, want %q", got, want)
	}
}

// TestNofile checks that the limit, hard and soft, is that of the configuration, or
// the one that PID 1 was started with. Go raises its own.
func TestNofile(t *testing.T) {
	testenv.Root(t)
	limit := func(nofile uint64) string {
		c := program(t, "sh", "-c", "ulimit -Sn; ulimit -Hn")
		c.Spec.Nofile = nofile
		return output(t, c)
	}
	if got := limit(4321); got != "4321\n4321\n" {
		t.Errorf("got %q", got)
	}
	var original syscall.Rlimit
	testenv.Must(t, syscall.Getrlimit(syscall.RLIMIT_NOFILE, &original))
	if got := limit(0); !strings.HasSuffix(got, "\n"+strconv.FormatUint(original.Max, 10)+"\n") {
		t.Errorf("got %q, want what there is (%d)", got, original.Max)
	}
}

// TestStarted checks that the target has the signal mask and the limits that PID 1 was
// started with, although Go's runtime has changed both in PID 1 and in the re-exec child.
func TestStarted(t *testing.T) {
	if !testenv.Inside(t, 0) {
		return
	}
	asPID1(t)
	for name, mask := range map[string]uint64{"none": 0, "some": 1<<9 | 1<<5, "all": ^uint64(0) &^ (1<<8 | 1<<18)} { // KILL and STOP cannot be
		c := program(t, "cat", "/proc/self/status", "/proc/self/limits")
		c.Started = &launch.Started{Mask: mask, Nofile: syscall.Rlimit{Cur: 99, Max: 999}}
		got := output(t, c)
		for _, want := range []string{fmt.Sprintf("\nSigBlk:\t%016x\n", mask), "\nSigIgn:\t" + none + "\nSigCgt:\t" + none + "\n"} {
			if !strings.Contains(got, want) {
				t.Errorf("%s: no %q in\n%s", name, want, got)
			}
		}
		_, files, _ := strings.Cut(got, "\nMax open files")
		if f := strings.Fields(files); len(f) < 2 || f[0] != "99" || f[1] != "999" {
			t.Errorf("%s: the limits of descriptors are %.40q", name, files)
		}
	}
}

// TestToken checks that the token is in the environment of the target, once, and in
// no other place that another process could read.
func TestToken(t *testing.T) {
	testenv.Root(t)
	c := program(t, "cat", "/proc/self/environ", "/proc/self/cmdline")
	text := withToken(t, c, "THE_TOKEN")
	got := output(t, c)
	if want := "PATH=/usr/bin:/bin\x00A=b\x00THE_TOKEN=" + text + "\x00cat\x00/proc/self/environ\x00/proc/self/cmdline\x00"; got != want {
		t.Errorf("got %q", strings.ReplaceAll(got, text, "[token]"))
	}
	c = program(t, "ls", "-1", "/proc/self/fd")
	withToken(t, c, "T")
	if got := output(t, c); got != "0\n1\n2\n3\n" {
		t.Errorf("its descriptors are %q", got)
	}
}

// withToken gives c a token in a root-owned file, and returns its text.
func withToken(t *testing.T, c *child, env string) string {
	t.Helper()
	dir := testenv.Tmpfs(t, "mode=0700")
	secret, err := tokenfile.Mint(dir, "token", tokenfile.Policy{RequireTmpfs: true})
	testenv.Must(t, err)
	c.Token, err = tokenfile.Open(dir, "token", tokenfile.Policy{RequireTmpfs: true})
	testenv.Must(t, err)
	t.Cleanup(func() { c.Token.Close() })
	c.Spec.Token = &launch.Token{Env: env, Sum: secret.Sum()}
	return string(secret.Bytes())
}

// TestTokenOffset checks that two children that share one file description both read
// the token.
func TestTokenOffset(t *testing.T) {
	testenv.Root(t)
	first, second := program(t, "cat", "/proc/self/environ"), program(t, "cat", "/proc/self/environ")
	text := withToken(t, first, "T")
	second.Token, second.Spec.Token = first.Token, first.Spec.Token
	_, err := first.Token.Seek(40, io.SeekStart)
	testenv.Must(t, err)
	for _, c := range []*child{first, second} {
		if got := output(t, c); !strings.Contains(got, "\x00T="+text+"\x00") {
			t.Errorf("got %q", strings.ReplaceAll(got, text, "[token]"))
		}
	}
}

// TestReexecChildIsClosedToOthers checks that no other process of its user can open
// the orders of a re-exec child or the token file that it holds. The link in
// /proc/PID/fd leads to a root-owned file with mode 0400, so this is true even if the
// re-exec child can be traced.
func TestReexecChildIsClosedToOthers(t *testing.T) {
	testenv.Root(t)
	c := program(t, "true")
	text := withToken(t, c, "T")
	spec, err := sys.Memfd("launch-spec", []byte("KEY=of-pass-env"))
	testenv.Must(t, err)
	defer spec.Close()
	for name, f := range map[string]*os.File{"orders": spec, "token": c.Token} {
		thief := program(t, "sh", "-c", "cat /proc/self/fd/0 2>&1; cat <&0 >/dev/null")
		thief.Stdio[0] = f
		got := output(t, thief)
		if strings.Contains(got, "of-pass-env") || strings.Contains(got, text) || !strings.Contains(got, "Permission denied") {
			t.Errorf("%s: a process of the user that holds the descriptor opens it anew: %q", name, strings.ReplaceAll(got, text, "[token]"))
		}
	}
}

// TestForeground checks that a command owns its terminal. Else a read stops it.
func TestForeground(t *testing.T) {
	if !testenv.Inside(t, 0) {
		return
	}
	signal.Ignore(unix.SIGHUP) // the terminal's end sends it, below
	master, tty, err := pty.Open()
	testenv.Must(t, err)
	defer master.Close()
	defer tty.Close()
	_, err = unix.Setsid()
	testenv.Must(t, err)
	testenv.Must(t, unix.IoctlSetInt(int(tty.Fd()), unix.TIOCSCTTY, 0))
	c := program(t, "sh", "-c", "read line; echo got $line; cat /proc/self/stat; sleep 1000")
	c.Spec.Foreground = true
	c.Stdio[0] = tty
	p, err := start(t, c)
	testenv.Must(t, err)
	if group, err := unix.IoctlGetInt(int(tty.Fd()), unix.TIOCGPGRP); err != nil || group != p.PID {
		t.Errorf("the foreground is %d, %v, want %d", group, err, p.PID)
	}
	_, err = master.WriteString("hello\n")
	testenv.Must(t, err)
	buf := make([]byte, 4096)
	var got string
	testenv.Eventually(t, "its stat", func() bool {
		n, err := c.out.Read(buf)
		got += string(buf[:n])
		testenv.Must(t, err)
		return strings.Contains(got, ") ") && strings.HasSuffix(got, "\n")
	})
	stat := fields(got)
	if !strings.HasPrefix(got, "got hello\n") || stat[2] != itoa(p.PID) || stat[3] != itoa(os.Getpid()) {
		t.Errorf("got %q: not the group %d in session %d", got, p.PID, os.Getpid())
	}
}

// TestForegroundElsewhere checks that without a terminal Foreground has no effect. A
// terminal that cannot be taken is a separate failure.
func TestForegroundElsewhere(t *testing.T) {
	if !testenv.Inside(t, 0) {
		return
	}
	c := program(t, "true")
	c.Spec.Foreground = true
	if _, err := start(t, c); err != nil {
		t.Errorf("no terminal: %v", err)
	}
	testenv.Refuse(t, unix.EIO, unix.SYS_IOCTL)
	c = program(t, "true")
	c.Spec.Foreground = true
	_, err := start(t, c)
	var failure *launch.Failure
	if !errors.As(err, &failure) || *failure != (launch.Failure{Step: launch.StepTerminal, Errno: unix.EIO}) {
		t.Errorf("got %v", err)
	}
}

// ignoreRealtime ignores signal 32, which Go's runtime neither handles nor resets.
func ignoreRealtime(t *testing.T) {
	t.Helper()
	action := [4]uintptr{1} // struct sigaction: SIG_IGN
	if _, _, e := unix.RawSyscall6(unix.SYS_RT_SIGACTION, 32, uintptr(unsafe.Pointer(&action)), 0, 8, 0, 0); e != 0 {
		t.Fatal(e)
	}
}

// TestInheritedIgnore checks that the gateway ignores no signal, even if an engine or
// nohup started PID 1 with signals ignored. SIGTERM must still stop it.
func TestInheritedIgnore(t *testing.T) {
	if !testenv.Inside(t, 0) {
		return
	}
	all := []os.Signal{syscall.SIGHUP, syscall.SIGINT, syscall.SIGTERM, syscall.SIGPIPE, syscall.SIGUSR1, syscall.SIGCHLD, syscall.SIGTSTP}
	signal.Ignore(all...)
	ignoreRealtime(t)
	if ignored := testenv.Status(t, "/proc/self/status")["SigIgn"]; ignored == none {
		t.Fatal("nothing is ignored")
	}
	asPID1(t)
	got := output(t, program(t, "cat", "/proc/self/status"))
	if !slices.Contains(strings.Split(got, "\n"), "SigIgn:\t"+none) {
		t.Errorf("it ignores signals: %s", got[strings.Index(got, "SigIgn"):][:24])
	}
}
