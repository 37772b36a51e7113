// SPDX-License-Identifier: Apache-2.0

package box

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/gateway-init/gateway-init/internal/testenv"
	"github.com/gateway-init/gateway-init/tests/harness"
)

// UIDs of the demo image.
const (
	GatewayUID  = harness.GatewayUID
	SandboxUID  = harness.SandboxUID
	OperatorUID = harness.OperatorUID
)

// Runtime is the runtime directory of a box with the demo's configuration.
const Runtime = "/run/gateway-init"

// Mount is a tmpfs, or what Type says; Data is mode, size and owner as in tmpfs(5).
type Mount struct {
	At, Data string
	Flags    uintptr
	Type     string
}

// Entry is a file that exists before gateway-init starts. It is a symbolic link if
// Link is set, and a hard link if Hard is set. Otherwise Type is its type (S_IFREG,
// S_IFDIR, S_IFIFO, S_IFSOCK, S_IFCHR).
type Entry struct {
	Path       string
	Type       uint32
	Mode       uint32
	UID        int
	Data       string
	Link, Hard string
}

// Options are the options of a box. The zero value is a good gateway with /run on a
// tmpfs that only root can write.
type Options struct {
	Args    []string       // options of gateway-init
	Command []string       // run as the sandbox user
	Config  map[string]any // merged over image/demo/config.json, see harness.DemoConfig
	// Published means that PID 1 holds the gateway's port, as in the demo image.
	Published bool
	Env       []string
	// Misbehave is the demo gateway's misbehave.json; see Box.SetMisbehave.
	Misbehave map[string]any
	Mounts    []Mount // default: /run
	Plant     []Entry
	NoProc    bool
	// Proc are mount options of /proc. With HostProc /proc is that of the machine's PID
	// namespace.
	Proc     string
	HostProc bool
	Groups   []int          // supplementary groups of gateway-init, as of --group-add
	Dir      string         // the container's working directory; default: /
	UID      int            // of gateway-init and of all below it
	DropCaps []uintptr      // capabilities that the engine does not give
	Below    []string       // the command of PID 1, to which that of gateway-init is appended
	OOMScore int            // PID 1's adjustment; 0: the test's own
	Pids     int            // limit of the box's cgroup; 0: it has none of its own
	Limits   map[int]uint64 // further resource limits (RLIMIT_FSIZE, ...)
	Blocked  uint64         // signals that gateway-init is started with blocked: bit n-1 is signal n
	// Close are the descriptors that gateway-init starts without.
	Close []int
	// Terminal is stdin, and the controlling terminal of gateway-init.
	Terminal *os.File
	// Stdout and Stderr are given to gateway-init. If nil, the box reads a pipe.
	Stdout, Stderr *os.File
}

// Box is a running gateway-init in its own namespaces.
type Box struct {
	PID int // on the host

	t    testing.TB
	comm string // of its first process
	cmd  *exec.Cmd
	pids cgroup
	log  *log
	done chan struct{} // closed after its end has been waited for
}

// log collects the output of the pipes.
type log struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *log) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(b)
}

func (l *log) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

// Start starts a box and waits until its first process is gateway-init, or Below. The test's
// cleanup ends the box.
func Start(t testing.TB, o Options) *Box {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("namespaces of one's own need root")
	}
	p := o.plan(t)
	if o.Pids > 0 {
		p.Cgroup = newCgroup(t, o.Pids)
	}
	data, err := json.Marshal(p)
	if err != nil {
		t.Fatal(err)
	}
	b := &Box{t: t, comm: filepath.Base(p.Program) + "\n", log: &log{}, done: make(chan struct{}), pids: p.Cgroup}
	b.cmd = exec.Command("/proc/self/exe")
	b.cmd.Env = []string{becomeEnv + "=" + string(data)}
	b.cmd.Stdout, b.cmd.Stderr = b.log, b.log
	if o.Stdout != nil {
		b.cmd.Stdout = o.Stdout
	}
	if o.Stderr != nil {
		b.cmd.Stderr = o.Stderr
	}
	b.cmd.SysProcAttr = &syscall.SysProcAttr{
		Setsid:     true, // as runc does; a process may send SIGCONT within its own session
		Cloneflags: unix.CLONE_NEWPID | unix.CLONE_NEWNS | unix.CLONE_NEWNET | unix.CLONE_NEWIPC,
	}
	if o.Terminal != nil {
		b.cmd.Stdin, b.cmd.SysProcAttr.Setctty = o.Terminal, true
	}
	if err := b.cmd.Start(); err != nil {
		t.Fatalf("cannot start a box: %v", err)
	}
	b.PID = b.cmd.Process.Pid
	go func() {
		b.cmd.Wait() // ProcessState has the result
		close(b.done)
	}()
	t.Cleanup(b.remove)
	b.waitExec()
	return b
}

// Bin returns the directory of the programs.
func Bin(t testing.TB) string {
	if dir := os.Getenv("GATEWAY_INIT_BIN"); dir != "" {
		return dir
	}
	return filepath.Join(harness.Root(t), "bin")
}

func (o Options) config(t testing.TB) []byte {
	t.Helper()
	if o.Published {
		return harness.PublishedConfig(t, o.Config)
	}
	return harness.DemoConfig(t, o.Config)
}

// plan completes the options and returns the plan.
func (o Options) plan(t testing.TB) plan {
	t.Helper()
	root := harness.Root(t)
	p := plan{
		Dir: t.TempDir(), Bin: Bin(t), Image: filepath.Join(root, "image/demo"),
		Config: o.config(t), State: map[string]string{},
		Mounts: o.Mounts, Plant: o.Plant, NoProc: o.NoProc, Proc: o.Proc, HostProc: o.HostProc, Close: o.Close, Groups: o.Groups, Cwd: o.Dir, OOMScore: o.OOMScore, Limits: o.Limits, Blocked: o.Blocked,
		UID: o.UID, DropCaps: o.DropCaps, Program: "/usr/local/sbin/gateway-init",
		Argv: append(append([]string{"gateway-init"}, o.Args...), o.Command...), Env: o.Env,
	}
	if o.Below != nil {
		p.Argv[0] = p.Program
		p.Program, p.Argv = o.Below[0], append(slices.Clone(o.Below), p.Argv...)
	}
	for _, name := range []string{"gateway-init", "gateway-relay", "gatewayctl", "demogateway", "demotools"} {
		if _, err := os.Stat(filepath.Join(p.Bin, name)); err != nil {
			t.Fatalf("%v: run make image-context (or make ns, which does)", err)
		}
	}
	if p.Mounts == nil {
		p.Mounts = []Mount{{At: "/run", Data: "mode=0755,size=4m"}}
	}
	if o.Misbehave != nil {
		data, err := json.Marshal(o.Misbehave)
		if err != nil {
			t.Fatal(err)
		}
		p.State["misbehave.json"] = string(data)
	}
	return p
}

// waitExec waits until the first process has executed its program, or has failed.
func (b *Box) waitExec() {
	b.t.Helper()
	deadline := time.Now().Add(testenv.Patience)
	for !b.Ended() {
		comm, _ := os.ReadFile(fmt.Sprintf("/proc/%d/comm", b.PID))
		if string(comm) == b.comm {
			return
		}
		if time.Now().After(deadline) {
			b.t.Fatalf("the box is still %q\n%s", comm, b.Log())
		}
		time.Sleep(200 * time.Microsecond)
	}
	if strings.HasPrefix(b.Log(), "box: ") {
		b.t.Fatal(b.Log())
	}
}

// remove ends the box, and shows the log if the test failed.
func (b *Box) remove() {
	b.cmd.Process.Kill()
	select {
	case <-b.done:
	case <-time.After(testenv.Patience):
		b.t.Errorf("box %d does not end after SIGKILL", b.PID)
	}
	if b.t.Failed() {
		b.t.Logf("box %d: %v\n%s", b.PID, b.cmd.ProcessState, b.Log())
	}
}

// Log returns the output of gateway-init, the gateway and the command so far.
func (b *Box) Log() string { return b.log.String() }

// Ended reports whether PID 1 has exited. Then all other processes have exited too.
func (b *Box) Ended() bool {
	select {
	case <-b.done:
		return true
	default:
		return false
	}
}

// Signal sends a signal to PID 1, as an engine does.
func (b *Box) Signal(sig syscall.Signal) {
	b.t.Helper()
	if err := b.cmd.Process.Signal(sig); err != nil && !errors.Is(err, os.ErrProcessDone) {
		b.t.Fatalf("cannot signal the box: %v", err)
	}
}

// Wait waits until PID 1 has exited. By then the kernel has ended all other
// processes of the namespace. testenv.AtMost scales the deadline.
func (b *Box) Wait(deadline time.Duration) syscall.WaitStatus {
	b.t.Helper()
	deadline = testenv.AtMost(b.t, deadline)
	select {
	case <-b.done:
	case <-time.After(deadline):
		b.t.Fatalf("waited %v for the end of the box: it runs\n%v", deadline, b.Processes())
	}
	return b.cmd.ProcessState.Sys().(syscall.WaitStatus)
}

// Path returns the host's path of a file of the box.
func (b *Box) Path(path string) string { return fmt.Sprintf("/proc/%d/root%s", b.PID, path) }

// SetMisbehave replaces misbehave.json, for the gateway's next start.
func (b *Box) SetMisbehave(m map[string]any) {
	b.t.Helper()
	data, err := json.Marshal(m)
	path := b.Path("/var/lib/gateway/misbehave.json")
	if err == nil {
		err = os.WriteFile(path+".new", data, 0o644)
	}
	if err == nil {
		err = os.Rename(path+".new", path)
	}
	if err != nil {
		b.t.Fatal(err)
	}
}
