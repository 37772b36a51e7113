// SPDX-License-Identifier: Apache-2.0

package box

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/gateway-init/gateway-init/internal/status"
	"github.com/gateway-init/gateway-init/internal/testenv"
	"github.com/gateway-init/gateway-init/tests/harness"
)

// execTimeout bounds a command in the box.
const execTimeout = 3 * time.Minute

// Exec runs a command in the box as uid, like docker exec. The process is beside
// PID 1, in its namespaces and its cgroup, and has no parent there.
func (b *Box) Exec(uid int, args ...string) harness.Result {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), execTimeout)
	defer cancel()
	var stdout, stderr bytes.Buffer
	cmd := b.command(ctx, uid, args)
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := b.start(cmd); err != nil {
		return harness.Result{Code: -1, Stderr: fmt.Sprintf("cannot run %v in the box: %v", args, err)}
	}
	err := cmd.Wait()
	if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) || ctx.Err() != nil {
		b.t.Fatalf("cannot run %v: %v", args, errors.Join(err, ctx.Err()))
	}
	return harness.Result{Code: cmd.ProcessState.ExitCode(), Stdout: stdout.String(), Stderr: stderr.String()}
}

func (b *Box) command(ctx context.Context, uid int, args []string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, "/usr/local/bin/"+args[0], args[1:]...)
	cmd.Env, cmd.Dir = []string{"PATH=/usr/local/bin"}, "/"
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if uid != 0 {
		cmd.SysProcAttr.Credential = &syscall.Credential{Uid: uint32(uid), Gid: uint32(uid)}
	}
	return cmd
}

// start forks from a thread that has entered the box.
func (b *Box) start(cmd *exec.Cmd) (err error) {
	harness.OwnThread(func() {
		leave, joinErr := b.pids.enter(cmd)
		defer leave()
		if err = errors.Join(joinErr, harness.JoinNamespaces(b.PID)); err == nil {
			err = cmd.Start()
		}
	})
	return err
}

// Start starts a command in the box and leaves it running until the test ends. Its
// zombie is reaped at once, as an engine's shim does. A zombie would keep PID 1
// from exiting.
func (b *Box) Start(uid int, args ...string) {
	b.t.Helper()
	cmd := b.command(context.Background(), uid, args)
	if err := b.start(cmd); err != nil {
		b.t.Fatalf("cannot start %v: %v", args, err)
	}
	reaped := make(chan struct{})
	go func() {
		cmd.Wait()
		close(reaped)
	}()
	b.t.Cleanup(func() {
		cmd.Process.Kill()
		<-reaped
	})
}

// Ctl runs gatewayctl as root.
func (b *Box) Ctl(args ...string) harness.Result {
	b.t.Helper()
	return b.Exec(0, append([]string{"gatewayctl"}, args...)...)
}

// MustCtl is Ctl for a command that must exit with 0. It returns its stdout.
func (b *Box) MustCtl(args ...string) string {
	b.t.Helper()
	r := b.Ctl(args...)
	if r.Code != 0 {
		b.t.Fatalf("gatewayctl %s: %v", strings.Join(args, " "), r)
	}
	return strings.TrimSpace(r.Stdout)
}

// Tools runs demotools as uid. It must succeed. Tools returns its stdout.
func (b *Box) Tools(uid int, args ...string) string {
	b.t.Helper()
	r := b.Exec(uid, append([]string{"demotools"}, args...)...)
	if r.Code != 0 {
		b.t.Fatalf("demotools %s: %v", strings.Join(args, " "), r)
	}
	return r.Stdout
}

// TryView returns the result of gatewayctl status --json.
func (b *Box) TryView() (harness.View, error) {
	b.t.Helper()
	r := b.Ctl("status", "--json")
	var v harness.View
	if err := json.Unmarshal([]byte(r.Stdout), &v); err != nil {
		return v, fmt.Errorf("gatewayctl status --json: %w: %v", err, r)
	}
	if v.Record == nil {
		return v, fmt.Errorf("no record: %s: %s", v.Reason, v.Detail)
	}
	return v, nil
}

// Record reads status.json from the file system. It is faster than gatewayctl, for
// tests that have to hit a moment.
func (b *Box) Record() (status.Record, error) {
	var r status.Record
	data, err := os.ReadFile(b.Path(Runtime + "/" + status.Name))
	if err == nil {
		err = json.Unmarshal(data, &r)
	}
	return r, err
}

// WaitRecord waits until a record satisfies f, and returns it. testenv.AtMost
// scales the deadline.
func (b *Box) WaitRecord(deadline time.Duration, what string, f func(status.Record) error) status.Record {
	b.t.Helper()
	var last status.Record
	deadline = testenv.AtMost(b.t, deadline)
	end := time.Now().Add(deadline)
	for {
		r, err := b.Record()
		if err == nil {
			last, err = r, f(r)
		}
		switch {
		case err == nil:
			return last
		case b.Ended():
			b.t.Fatalf("the box ended before %s: %v\n%s", what, err, b.Log())
		case time.Now().After(end):
			b.t.Fatalf("waited %v for %s: %v", deadline, what, err)
		}
		time.Sleep(time.Millisecond)
	}
}

// WaitState waits for a state of the record.
func (b *Box) WaitState(state string, deadline time.Duration) status.Record {
	b.t.Helper()
	return b.WaitRecord(deadline, "state "+state, func(r status.Record) error {
		if r.State != state {
			return fmt.Errorf("state is %s (%s: %s)", r.State, r.Reason, r.Detail)
		}
		return nil
	})
}

// WaitServing waits until gatewayctl status reports that the gateway serves.
func (b *Box) WaitServing(deadline time.Duration) status.Record {
	b.t.Helper()
	b.WaitState(status.Running, deadline)
	v, err := b.TryView()
	if err == nil && !v.Serving {
		err = fmt.Errorf("%s: %s", v.Reason, v.Detail)
	}
	if err != nil {
		b.t.Fatalf("running, but gatewayctl status says: %v", err)
	}
	return *v.Record
}

// Process is a process of the box, with its pid there.
type Process struct {
	PID, Parent, UID int // UID is the real uid
	State, Comm      string
}

// Processes returns all processes in the box's /proc.
func (b *Box) Processes() []Process {
	dirs, _ := filepath.Glob(b.Path("/proc/[0-9]*"))
	var all []Process
	for _, dir := range dirs {
		f, err := harness.StatusFields(dir + "/status")
		if err != nil {
			continue // it has ended
		}
		p := Process{Comm: f["Name"], State: f["State"]}
		p.PID, _ = strconv.Atoi(f["Pid"])
		p.Parent, _ = strconv.Atoi(f["PPid"])
		p.UID, _ = strconv.Atoi(strings.Fields(f["Uid"] + " -")[0])
		all = append(all, p)
	}
	return all
}

// Catches reports whether a process of the box has a handler for sig.
func (b *Box) Catches(pid int, sig syscall.Signal) bool { return b.signalSet(pid, "SigCgt", sig) }

// Ignores reports whether a process of the box ignores sig.
func (b *Box) Ignores(pid int, sig syscall.Signal) bool { return b.signalSet(pid, "SigIgn", sig) }

func (b *Box) signalSet(pid int, field string, sig syscall.Signal) bool {
	path := b.Path(fmt.Sprintf("/proc/%d/status", pid))
	if pid == 1 { // its pid on the host is known, even before the box has a /proc
		path = fmt.Sprintf("/proc/%d/status", b.PID)
	}
	f, err := harness.StatusFields(path)
	mask, parseErr := strconv.ParseUint(f[field], 16, 64)
	return err == nil && parseErr == nil && mask&(1<<(sig-1)) != 0
}
