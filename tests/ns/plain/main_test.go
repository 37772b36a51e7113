// SPDX-License-Identifier: Apache-2.0

package plain

import (
	"bytes"
	"errors"
	"fmt"
	"math/bits"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/gateway-init/gateway-init/init/plain/forward"
	"github.com/gateway-init/gateway-init/internal/testenv"
	"github.com/gateway-init/gateway-init/tests/harness"
)

// TestMain makes this binary the programs that tests run under gateway-init.
func TestMain(m *testing.M) {
	switch os.Getenv("PLAIN_TEST") {
	case "listen":
		listen()
	case "block":
		block(os.Args[1:])
	case "refuse":
		refuse(os.Args[1:])
	case "tini":
		beTini(os.Args[1:])
	}
	code := m.Run()
	if shared != "" {
		os.RemoveAll(shared)
	}
	os.Exit(code)
}

// shared is a directory that every user can enter. A checkout may be in a closed
// one.
var shared string

// binary returns the path of a gateway-init that every user can execute.
func binary(t *testing.T) string {
	t.Helper()
	path := func() string { return filepath.Join(shared, "gateway-init") }
	if shared == "" {
		dir := os.Getenv("GATEWAY_INIT_BIN")
		if dir == "" {
			dir = filepath.Join(harness.Root(t), "bin")
		}
		data, err := os.ReadFile(filepath.Join(dir, "gateway-init"))
		testenv.Must(t, err)
		shared, err = os.MkdirTemp("", "plain")
		testenv.Must(t, err)
		testenv.Must(t, errors.Join(os.Chmod(shared, 0o755), os.WriteFile(path(), data, 0o755)))
	}
	return path()
}

// listen prints every signal that it gets, and exits at none.
func listen() {
	forward.Take(func(int) uint8 { return 0 }, func(sig int) bool { return sig == 9 || sig == 19 })
	fmt.Println("ready")
	for {
		for set := forward.Seen(); set != 0; set &= set - 1 {
			fmt.Println("got", bits.TrailingZeros64(set)+1)
		}
		time.Sleep(time.Millisecond)
	}
}

// block executes a program with SIGUSR1, SIGTERM and signal 40 blocked.
func block(argv []string) {
	runtime.LockOSThread()
	set := unix.Sigset_t{Val: [16]uint64{1<<(unix.SIGUSR1-1) | 1<<(unix.SIGTERM-1) | 1<<39}}
	become(argv, unix.PthreadSigmask(unix.SIG_BLOCK, &set, nil))
}

// refuse executes the rest of argv under a kernel that answers EPERM to one system
// call. The first argument is the number of the call.
func refuse(argv []string) {
	call, err := strconv.ParseUint(argv[0], 10, 32)
	if err == nil {
		err = testenv.RefuseCalls(unix.EPERM, uint32(call))
	}
	become(argv[1:], err)
}

// beTini is tini by its name, as PID 1 at a terminal. It gives its child the foreground,
// and continues no job.
func beTini(argv []string) {
	os.Unsetenv("PLAIN_TEST")
	err := errors.Join(unix.Mount("none", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""),
		unix.Mount("proc", "/proc", "proc", 0, ""), os.WriteFile("/proc/self/comm", []byte("tini"), 0))
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Foreground: true}
	if err == nil {
		err = cmd.Run()
	}
	if cmd.ProcessState == nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(99)
	}
	os.Exit(cmd.ProcessState.ExitCode())
}

// become executes argv, unless err says that the preparation failed.
func become(argv []string, err error) {
	if err == nil {
		os.Unsetenv("PLAIN_TEST")
		err = syscall.Exec(argv[0], argv, os.Environ())
	}
	fmt.Fprintln(os.Stderr, err)
	os.Exit(99)
}

// how describes the start of gateway-init.
type how struct {
	beside bool     // not as PID 1
	env    []string // over the test's own
	stdin  *os.File
	files  []*os.File // descriptors 3 and up
	before []string   // a program that executes the rest
	sys    func(*syscall.SysProcAttr)
}

// run is a running gateway-init.
type run struct {
	t    *testing.T
	cmd  *exec.Cmd
	mu   sync.Mutex
	out  bytes.Buffer
	err  bytes.Buffer
	done chan struct{}
}

func (r *run) write(to *bytes.Buffer) writer {
	return func(p []byte) (int, error) {
		r.mu.Lock()
		defer r.mu.Unlock()
		return to.Write(p)
	}
}

type writer func([]byte) (int, error)

func (w writer) Write(p []byte) (int, error) { return w(p) }

func (r *run) stdout() string { r.mu.Lock(); defer r.mu.Unlock(); return r.out.String() }
func (r *run) stderr() string { r.mu.Lock(); defer r.mu.Unlock(); return r.err.String() }

// start starts gateway-init with args. The test's cleanup ends it.
func start(t *testing.T, h how, args ...string) *run {
	t.Helper()
	testenv.Root(t)
	if _, err := os.Lstat("/etc/gateway-init"); !errors.Is(err, os.ErrNotExist) {
		t.Fatal("this machine has /etc/gateway-init: plain mode is where it does not exist")
	}
	argv := append(append(h.before, binary(t)), args...)
	r := &run{t: t, cmd: exec.Command(argv[0], argv[1:]...), done: make(chan struct{})}
	r.cmd.Env = append(os.Environ(), h.env...)
	if h.stdin != nil {
		r.cmd.Stdin = h.stdin
	}
	r.cmd.ExtraFiles = h.files
	r.cmd.Stdout, r.cmd.Stderr = r.write(&r.out), r.write(&r.err)
	r.cmd.WaitDelay = 10 * time.Second // for the pipes, which leftover children may hold
	r.cmd.SysProcAttr = &syscall.SysProcAttr{}
	if !h.beside {
		r.cmd.SysProcAttr.Cloneflags = unix.CLONE_NEWPID
	}
	if h.sys != nil {
		h.sys(r.cmd.SysProcAttr)
	}
	testenv.Must(t, r.cmd.Start())
	go func() {
		r.cmd.Wait()
		close(r.done)
	}()
	t.Cleanup(func() {
		if h.beside { // leftover children have no parent that would end them
			for _, pid := range r.children() {
				if pid, err := strconv.Atoi(pid); err == nil {
					unix.Kill(pid, unix.SIGKILL)
				}
			}
		}
		r.cmd.Process.Kill()
		<-r.done
		if t.Failed() {
			t.Logf("stdout: %s\nstderr: %s", r.stdout(), r.stderr())
		}
	})
	return r
}

// ended waits for the exit and returns the exit code, 128+n for signal n.
func (r *run) ended() int {
	r.t.Helper()
	select {
	case <-r.done:
	case <-time.After(30 * time.Second):
		r.t.Fatal("it does not end")
	}
	ws := r.cmd.ProcessState.Sys().(syscall.WaitStatus)
	if ws.Signaled() {
		r.t.Errorf("it was killed by %v", ws.Signal())
		return 128 + int(ws.Signal())
	}
	return ws.ExitStatus()
}

// output returns the output of a gateway-init that exits by itself.
func output(t *testing.T, h how, args ...string) (stdout string, code int) {
	t.Helper()
	r := start(t, h, args...)
	code = r.ended()
	return r.stdout(), code
}

func (r *run) signal(sig int) {
	r.t.Helper()
	testenv.Must(r.t, r.cmd.Process.Signal(syscall.Signal(sig)))
}

func (r *run) waitFor(what string) {
	r.t.Helper()
	testenv.Eventually(r.t, fmt.Sprintf("it prints %q", what), func() bool { return strings.Contains(r.stdout(), what) })
}

// children returns the pids of gateway-init's children, zombies included.
func (r *run) children() []string {
	r.t.Helper()
	pid := strconv.Itoa(r.cmd.Process.Pid)
	var all []string
	tasks, _ := os.ReadDir("/proc/" + pid + "/task") // it has ended if there are none
	for _, task := range tasks {
		data, err := os.ReadFile("/proc/" + pid + "/task/" + task.Name() + "/children")
		if err == nil {
			all = append(all, strings.Fields(string(data))...)
		}
	}
	return all
}

// fields returns the lines of a status file (proc_pid_status(5)).
func fields(text string) map[string]string {
	all := map[string]string{}
	for line := range strings.Lines(text) {
		if key, value, ok := strings.Cut(line, ":"); ok {
			all[key] = strings.Join(strings.Fields(value), " ")
		}
	}
	return all
}

// listener returns the path and environment of this binary as a program that prints
// signals.
func listener(t *testing.T) (env []string, program string) {
	t.Helper()
	program, err := os.Executable()
	testenv.Must(t, err)
	return []string{"PLAIN_TEST=listen"}, program
}
