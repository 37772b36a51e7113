// SPDX-License-Identifier: Apache-2.0

package box

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/gateway-init/gateway-init/internal/testenv"
)

// cgroup is a group of the pids controller. The zero value stands for the test's own.
type cgroup struct {
	Dir string // on the host
	At  string // in the box
	Max int
}

// newCgroup makes a cgroup, which ends with the test. Its limit comes into force when
// gateway-init is executed, because the test's own program has more threads.
func newCgroup(t testing.TB, limit int) cgroup {
	t.Helper()
	c := cgroup{At: "/sys/fs/cgroup", Max: limit}
	base := c.At
	if _, err := os.Stat(base + "/pids/cgroup.procs"); err == nil { // v1
		c.At, base = base+"/pids", base+"/pids"
	} else if on, err := os.ReadFile(base + "/cgroup.subtree_control"); err != nil || !strings.Contains(string(on), "pids") {
		t.Skipf("no pids controller for a cgroup of our own: %q %v", on, err)
	}
	dir, err := os.MkdirTemp(base, "gateway-init-test-")
	if err != nil {
		t.Skipf("cannot make a cgroup: %v", err)
	}
	c.Dir = dir
	t.Cleanup(func() {
		testenv.Eventually(t, "the cgroup is empty", func() bool { return os.Remove(dir) == nil })
	})
	return c
}

// join moves this process into the cgroup.
func (c cgroup) join() error {
	if c.Dir == "" {
		return nil
	}
	return os.WriteFile(filepath.Join(c.Dir, "cgroup.procs"), []byte("0"), 0o600)
}

// limit sets the limit, in the box.
func (c cgroup) limit() error {
	if c.Dir == "" {
		return nil
	}
	return os.WriteFile(filepath.Join(c.At, "pids.max"), []byte(strconv.Itoa(c.Max)), 0o600)
}

// mountCgroup shows the cgroup in the box, as an engine does.
func (p *plan) mountCgroup() error {
	if p.Cgroup.Dir == "" {
		return nil
	}
	at := filepath.Join(p.Dir, p.Cgroup.At)
	if err := errors.Join(os.MkdirAll(at, 0o755), unix.Mount(p.Cgroup.Dir, at, "", unix.MS_BIND, "")); err != nil {
		return fmt.Errorf("cannot mount the cgroup: %w", err)
	}
	return nil
}

// enter makes cmd start in the cgroup. With v1 the calling thread moves there, which the
// caller has locked. leave must be called after the start.
func (c cgroup) enter(cmd *exec.Cmd) (leave func(), err error) {
	if c.Dir == "" {
		return func() {}, nil
	}
	if _, err := os.Stat(filepath.Join(c.Dir, "tasks")); err == nil {
		return func() {}, os.WriteFile(filepath.Join(c.Dir, "tasks"), []byte(strconv.Itoa(unix.Gettid())), 0o600)
	}
	dir, err := os.Open(c.Dir)
	if err == nil {
		cmd.SysProcAttr.UseCgroupFD, cmd.SysProcAttr.CgroupFD = true, int(dir.Fd())
	}
	return func() { dir.Close() }, err
}

// PidsInUse returns how many processes and threads the box has.
func (b *Box) PidsInUse() int {
	b.t.Helper()
	data, err := os.ReadFile(filepath.Join(b.pids.Dir, "pids.current"))
	n, parseErr := strconv.Atoi(strings.TrimSpace(string(data)))
	if err := errors.Join(err, parseErr); err != nil {
		b.t.Fatal(err)
	}
	return n
}

// LimitPids changes the limit of the box.
func (b *Box) LimitPids(limit int) {
	b.t.Helper()
	if err := os.WriteFile(filepath.Join(b.pids.Dir, "pids.max"), []byte(strconv.Itoa(limit)), 0o600); err != nil {
		b.t.Fatal(err)
	}
}
