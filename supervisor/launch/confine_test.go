// SPDX-License-Identifier: Apache-2.0

package launch_test

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/gateway-init/gateway-init/internal/confine"
	"github.com/gateway-init/gateway-init/internal/sys"
	"github.com/gateway-init/gateway-init/internal/testenv"
)

// confined makes c a confined target, or leaves it as it is.
func confined(c *child, on bool) *child {
	c.Spec.Confine = on
	return c
}

// self returns a child that executes this test binary as one of helpers.
func self(t *testing.T, args ...string) *child {
	return program(t, append([]string{"/proc/self/exe"}, args...)...)
}

// asBoot prepares this process as boot does. The kernel takes the rule only from a process
// with no_new_privs.
func asBoot(t *testing.T) {
	t.Helper()
	asPID1(t)
	testenv.Must(t, sys.NoNewPrivs())
	testenv.Must(t, confine.Check())
}

// TestConfinedTargetReadsNoChild checks that a confined gateway's file tools get nothing of
// its children in /proc. The children inherit its environment, and have readable programs.
// Without the rule the same tools get the token.
func TestConfinedTargetReadsNoChild(t *testing.T) {
	if !testenv.Inside(t, unix.CLONE_NEWPID) {
		return
	}
	asBoot(t)
	for _, on := range []bool{false, true} {
		c := confined(self(t, "deputy"), on)
		c.Spec.Env = append(c.Spec.Env, "TOKEN=0123456789abcdef")
		lines := strings.Split(strings.TrimSpace(output(t, c)), "\n")
		if len(lines) < 2*len(childFiles) {
			t.Fatalf("confined %v: only %q", on, lines)
		}
		for _, line := range lines {
			closed := strings.HasSuffix(line, " permission denied")
			if on != closed {
				t.Errorf("confined %v: %s", on, line)
			}
			if shows := strings.HasSuffix(line, " THE TOKEN"); shows != (!on && strings.Contains(line, "environ")) {
				t.Errorf("confined %v: %s", on, line)
			}
		}
	}
}

// childFiles are the files of a child that the deputy opens.
var childFiles = []string{"environ", "mem", "maps", "auxv", "stat", "status", "cmdline", "task/PID/environ", "root/proc/PID/environ"}

// deputy starts children with its environment, and opens their files in /proc.
func deputy() {
	for _, argv := range [][]string{{"sh", "-c", "read x"}, {"git", "hash-object", "--stdin"}, {"node", "-e", "process.stdin.resume()"}} {
		cmd := exec.Command(argv[0], argv[1:]...)
		stdin, err := cmd.StdinPipe()
		if err == nil {
			err = cmd.Start()
		}
		if err != nil { // not installed
			continue
		}
		pid := itoa(cmd.Process.Pid)
		for _, name := range childFiles {
			fmt.Println(argv[0], name, readToken("/proc/"+pid+"/"+strings.ReplaceAll(name, "PID", pid)))
		}
		cat := exec.Command("cat", "/proc/"+pid+"/environ")
		cat.Env = []string{"LC_ALL=C", "PATH=" + os.Getenv("PATH")}
		out, _ := cat.CombinedOutput()
		fmt.Println(argv[0], "environ by another process:", describe(out))
		stdin.Close()
		cmd.Wait()
	}
}

// readToken says whether a file can be opened, and whether it shows the token. Some files
// are opened and cannot be read, as the first page of mem.
func readToken(path string) string {
	f, err := os.Open(path)
	if err != nil {
		return strings.ToLower(err.(*os.PathError).Err.Error())
	}
	defer f.Close()
	data := make([]byte, 64<<10)
	for end := time.Now().Add(testenv.Patience); time.Now().Before(end); time.Sleep(time.Millisecond) {
		n, err := f.ReadAt(data, 0)
		if n > 0 || err != io.EOF { // environ is empty for a moment after execve(2)
			return describe(data[:n])
		}
	}
	return "empty"
}

func describe(data []byte) string {
	text := strings.ToLower(strings.TrimSpace(string(data)))
	switch {
	case strings.Contains(text, "0123456789abcdef"):
		return "THE TOKEN"
	case strings.HasSuffix(text, "permission denied"):
		return "permission denied"
	}
	return "opened"
}

// TestConfinedTargetWorks checks what the rule must not close: its own files in /proc, all
// other files, renames and links between directories, and git. It closes processes of
// the same user outside, for tracing, too.
func TestConfinedTargetWorks(t *testing.T) {
	if !testenv.Inside(t, unix.CLONE_NEWPID) {
		return
	}
	asBoot(t)
	outside := program(t, "sleep", "100")
	p, err := start(t, outside)
	testenv.Must(t, err)
	for _, on := range []bool{false, true} {
		want := "environ of another <nil>\ntrace <nil>\n"
		if on {
			want = "environ of another permission denied\ntrace operation not permitted\n"
		}
		if got := output(t, confined(self(t, "work", itoa(p.PID)), on)); got != want {
			t.Errorf("confined %v: got\n%swant\n%s", on, got, want)
		}
		if got := output(t, confined(program(t, "ls", "-1", "/proc/self/fd"), on)); got != "0\n1\n2\n3\n" { // 3 is the directory that ls reads
			t.Errorf("confined %v: its descriptors are %q", on, got)
		}
	}
	own := output(t, confined(program(t, "sh", "-c", `cat /proc/self/stat 2>&1; cat /dev/fd/3 3</etc/passwd; read x </proc/$$/stat && echo own`), true))
	if !strings.Contains(own, "Permission denied\n") || !strings.Contains(own, "\nroot:") || !strings.HasSuffix(own, "\nown\n") {
		t.Errorf("a child and its parent read: %s", own) // docs/hardening.md: a child cannot read its own files
	}
}

// ownFiles are files in /proc that a confined process can read.
var ownFiles = []string{"self/stat", "self/status", "self/statm", "self/maps", "self/limits", "self/cgroup", "self/mountinfo", "self/cmdline", "self/environ",
	"thread-self/stat", "net/tcp", "meminfo", "cpuinfo", "stat", "uptime", "loadavg", "version", "filesystems", "sys/kernel/osrelease"}

// work prints each of these that fails, and at last whether it can look into pid.
func work(pid string) {
	check := func(what string, err error) {
		if err != nil {
			fmt.Println(what, err)
		}
	}
	for _, name := range ownFiles {
		_, err := os.ReadFile("/proc/" + name)
		check("own", err)
	}
	_, err := os.ReadDir("/proc/self/fd")
	check("own", err)
	dir, err := os.MkdirTemp("", "confined")
	check("directory", err)
	defer os.RemoveAll(dir)
	check("moves", moves(dir))
	cmd := exec.Command("sh", "-ec", gitScript)
	cmd.Dir, cmd.Env = dir, []string{"PATH=" + os.Getenv("PATH"), "HOME=" + dir}
	if out, err := cmd.CombinedOutput(); err != nil {
		fmt.Printf("git: %v: %s\n", err, out)
	}
	_, err = os.Open("/proc/" + pid + "/environ")
	fmt.Println("environ of another", strings.TrimPrefix(strings.ToLower(fmt.Sprint(err)), "open /proc/"+pid+"/environ: "))
	n := 0
	fmt.Sscan(pid, &n)
	fmt.Println("trace", unix.PtraceSeize(n))
}

const gitScript = `
git init -q one && cd one
git config user.email a@example.com && git config user.name a
mkdir d && echo text >f && git add f && git commit -qm first
git mv f d/f && git commit -qm second
git gc -q && cd ..
git clone -q one two && cat two/d/f
`

// moves renames and links files from one directory to another.
func moves(dir string) error {
	a, b := dir+"/a", dir+"/b"
	for _, step := range []func() error{
		func() error { return os.MkdirAll(a+"/sub", 0o700) },
		func() error { return os.Mkdir(b, 0o700) },
		func() error { return os.WriteFile(a+"/f", nil, 0o600) },
		func() error { return os.Rename(a+"/f", b+"/f") },
		func() error { return os.Link(b+"/f", a+"/link") },
		func() error { return os.Rename(a+"/sub", b+"/sub") },
		func() error {
			return unix.Renameat2(unix.AT_FDCWD, a+"/link", unix.AT_FDCWD, b+"/sub", unix.RENAME_EXCHANGE)
		},
		func() error {
			fd, err := unix.Open(a, unix.O_TMPFILE|unix.O_RDWR, 0o600)
			if err != nil {
				return err
			}
			defer unix.Close(fd)
			return unix.Linkat(unix.AT_FDCWD, "/proc/self/fd/"+itoa(fd), unix.AT_FDCWD, b+"/unnamed", unix.AT_SYMLINK_FOLLOW)
		},
	} {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

// TestRuleOutlivesForgottenNames checks that a confined target reads its own files and the
// open ones of /proc after the kernel has forgotten their names, as it does when memory
// is short. Procfs makes new inodes then, unless PID 1 holds the old ones. The control is
// a file that PID 1 does not hold yet.
func TestRuleOutlivesForgottenNames(t *testing.T) {
	if !testenv.Inside(t, unix.CLONE_NEWPID) {
		return
	}
	asBoot(t)
	before := waiting(t)
	testenv.Eventually(t, "the kernel to forget a name that nobody holds", func() bool {
		forgetNames(t)
		return slices.Contains(before(), "/proc/version")
	})
	if refused := before(); slices.Contains(refused, "/proc/self/stat") {
		t.Errorf("refused: %v", refused)
	}
	testenv.Must(t, confine.Hold())
	after := waiting(t)
	for range 5 {
		forgetNames(t)
		if refused := after(); len(refused) > 0 {
			t.Errorf("refused: %v", refused)
		}
	}
}

// forgetNames makes the kernel forget the names of files that no process has open.
func forgetNames(t *testing.T) {
	t.Helper()
	testenv.Must(t, os.WriteFile("/proc/sys/vm/drop_caches", []byte("2"), 0))
}

// waiting starts a confined target. Each call of look has it open its files once more, and
// returns those that were refused.
func waiting(t *testing.T) (look func() []string) {
	t.Helper()
	c := confined(self(t, "wait"), true)
	r, w, err := os.Pipe()
	testenv.Must(t, err)
	t.Cleanup(func() { r.Close(); w.Close() })
	c.Stdio[0] = r
	_, err = start(t, c)
	testenv.Must(t, err)
	answers := bufio.NewScanner(c.out)
	return func() []string {
		_, err := w.WriteString("\n")
		testenv.Must(t, err)
		if !answers.Scan() {
			t.Fatal("the target has ended")
		}
		return strings.Fields(answers.Text())
	}
}

// wait opens files of /proc at each line, and prints those that are refused.
func wait() {
	for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
		for _, name := range []string{"/proc/self/stat", "/proc/self/maps", "/proc/self/task/" + itoa(os.Getpid()) + "/stat", "/proc/meminfo", "/proc/version", "/proc/sys/kernel/osrelease", "/etc/passwd"} {
			f, err := os.Open(name)
			if err != nil {
				fmt.Print(name, " ")
				continue
			}
			f.Close()
		}
		fmt.Println()
	}
}

// TestUnconfinableTargetDoesNotStart checks that a launch whose rule cannot be put into
// force fails with a name, and executes nothing.
func TestUnconfinableTargetDoesNotStart(t *testing.T) {
	for name, c := range map[string]struct {
		refuse uint32
		errno  syscall.Errno
	}{
		"create":   {unix.SYS_LANDLOCK_CREATE_RULESET, unix.ENOSYS},
		"rule":     {unix.SYS_LANDLOCK_ADD_RULE, unix.EPERM},
		"restrict": {unix.SYS_LANDLOCK_RESTRICT_SELF, unix.EPERM},
	} {
		t.Run(name, func(t *testing.T) {
			if !testenv.Inside(t, 0) {
				return
			}
			asBoot(t)
			testenv.Refuse(t, c.errno, c.refuse)
			target := confined(program(t, "echo", "executed"), true)
			_, err := start(t, target)
			want := fmt.Sprintf("confine: %v: the rule of gateway.confine cannot be put into force", c.errno)
			if err == nil || err.Error() != want {
				t.Errorf("got %v, want %s", err, want)
			}
			target.Stdio[1].Close()
			if line, _ := bufio.NewReader(target.out).ReadString('\n'); line != "" {
				t.Errorf("it said %q", line)
			}
		})
	}
}

// helpers are the roles in which this test binary is executed as a target.
func helper(args []string) bool {
	switch {
	case len(args) == 2 && args[1] == "deputy":
		deputy()
	case len(args) == 3 && args[1] == "work":
		work(args[2])
	case len(args) == 2 && args[1] == "wait":
		wait()
	default:
		return false
	}
	return true
}
