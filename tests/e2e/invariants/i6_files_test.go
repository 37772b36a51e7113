// SPDX-License-Identifier: Apache-2.0

package invariants

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/gateway-init/gateway-init/internal/status"
	"github.com/gateway-init/gateway-init/tests/harness"
)

// prepared is the path of the demo's "prepare" entry. The agent can write to the
// directory above it.
const prepared = "/tmp/demo-gateway"

// Invariant I6, the place. The agent plants a file or link where PID 1 makes a
// directory. PID 1 refuses it by name, and the target of a link is not changed.
func TestPlantedPlaceIsRefusedByName(t *testing.T) {
	c := harness.Start(t, harness.Options{})
	c.WaitServing(30 * time.Second)
	for name, plant := range map[string]func(path string) error{
		// The target of this link has the right owner and mode.
		"link-to-the-gateways": func(path string) error { return os.Symlink("/var/lib/gateway", path) },
		"link-to-roots":        func(path string) error { return os.Symlink("/run/gateway-init/control", path) },
		"dangling-link":        func(path string) error { return os.Symlink("/run/gateway-init/new", path) },
		"file":                 func(path string) error { return os.WriteFile(path, nil, 0o666) },
		"fifo":                 func(path string) error { return unix.Mkfifo(path, 0o666) },
		"strangers-directory":  func(path string) error { return errors.Join(os.Mkdir(path, 0o777), os.Mkdir(path+"/x", 0o777)) },
	} {
		t.Run(name, func(t *testing.T) {
			c.MustCtl("stop")
			path := c.HostPath(prepared)
			if err := errors.Join(os.RemoveAll(path), plant(path), os.Lchown(path, harness.SandboxUID, harness.SandboxUID)); err != nil {
				t.Fatal(err)
			}
			before := listing(t, c)
			r := c.Ctl("start")
			if r.Code != 1 || !strings.Contains(r.Stderr, "prepare-failed") {
				t.Errorf("start: %v", r)
			}
			if v := c.View(); !strings.Contains(v.Detail, prepared) {
				t.Errorf("status does not name the place: %s: %s", v.Reason, v.Detail)
			}
			if after := listing(t, c); after != before {
				t.Errorf("what it leads to was\n%s\nand is\n%s", before, after)
			}
			// Its advice works.
			if err := os.RemoveAll(path); err != nil {
				t.Fatal(err)
			}
			c.MustCtl("recover")
		})
	}
}

// listing returns the owner, mode and name of each file that a planted link could
// lead to.
func listing(t *testing.T, c *harness.Container) string {
	t.Helper()
	var b strings.Builder
	for _, dir := range []string{"/run/gateway-init", "/run/gateway-init/control", "/var/lib/gateway"} {
		entries, err := os.ReadDir(c.HostPath(dir))
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range append([]string{"."}, names(entries)...) {
			info, err := os.Lstat(c.HostPath(dir) + "/" + name)
			if errors.Is(err, fs.ErrNotExist) {
				continue // status.json.new comes and goes
			}
			if err != nil {
				t.Fatal(err)
			}
			if st := info.Sys().(*syscall.Stat_t); !strings.HasSuffix(name, ".new") {
				fmt.Fprintf(&b, "%v %d:%d %s/%s\n", info.Mode(), st.Uid, st.Gid, dir, name)
			}
		}
	}
	return b.String()
}

func names(entries []os.DirEntry) (all []string) {
	for _, e := range entries {
		all = append(all, e.Name())
	}
	return all
}

// Invariant I6, the moment. The parent directory is exchanged for a link, and back,
// all the time. PID 1 may fail then, but never creates anything at the link's target.
func TestExchangedParentIsNeverFollowed(t *testing.T) {
	c := harness.Start(t, harness.Options{Config: map[string]any{
		"prepare": []any{map[string]any{"path": "/tmp/agent/dir", "type": "directory", "owner": "gateway", "mode": "0700"}},
		"gateway": map[string]any{"restart": map[string]any{"backoff_min": "10ms"}},
	}})
	if err := errors.Join(os.Mkdir(c.HostPath("/tmp/agent"), 0o755), os.Symlink("/run/gateway-init", c.HostPath("/tmp/other"))); err != nil {
		t.Fatal(err)
	}
	c.Ctl("recover")
	c.WaitServing(30 * time.Second)
	agent, other := c.HostPath("/tmp/agent"), c.HostPath("/tmp/other")
	place, err := os.Open(agent) // a path could go through the link later
	if err != nil {
		t.Fatal(err)
	}
	defer place.Close()
	stop, stopped := make(chan struct{}), make(chan struct{})
	var exchanges atomic.Int64
	go func() {
		defer close(stopped)
		tick := time.NewTicker(50 * time.Microsecond)
		defer tick.Stop()
		for {
			select {
			case <-stop:
				return
			case <-tick.C:
				// Either name may be the link now.
				_ = unix.Renameat2(unix.AT_FDCWD, agent, unix.AT_FDCWD, other, unix.RENAME_EXCHANGE)
				exchanges.Add(1)
			}
		}
	}()
	made, refused := 0, 0
	missed := func() bool { return exchanges.Load() < 1000 || made == 0 || refused == 0 }
	for n := 0; n < 15 || n < 300 && missed(); n++ {
		if err := unix.Unlinkat(int(place.Fd()), "dir", unix.AT_REMOVEDIR); err != nil && err != unix.ENOENT {
			t.Fatal(err)
		}
		switch r := c.Ctl("restart"); {
		case r.Code == 0:
			made++
		case strings.Contains(r.Stderr, "prepare-failed"):
			refused++
		default:
			t.Errorf("restart: %v", r)
		}
		if _, err := os.Lstat(c.HostPath("/run/gateway-init/dir")); err == nil {
			t.Fatal("a directory was made where the link leads")
		}
	}
	close(stop)
	<-stopped
	if missed() {
		t.Errorf("%d exchanges, %d times made, %d times refused: nothing was hit", exchanges.Load(), made, refused)
	}
}

// Invariant I6, the result. A reader of our files sees the old or the new one, whole,
// with its owner and mode. A file that was replaced is not written to.
func TestReplacedFilesAreAlwaysWhole(t *testing.T) {
	c := harness.Start(t, harness.Options{})
	c.WaitServing(30 * time.Second)
	record, token := c.HostPath("/run/gateway-init/status.json"), c.HostPath("/run/gateway-init/gateway-token")
	var watchers sync.WaitGroup
	stop := make(chan struct{})
	for path, good := range map[string]func(data []byte, st *syscall.Stat_t) error{
		record: func(data []byte, st *syscall.Stat_t) error {
			if _, err := status.Decode(data); err != nil || st.Uid != 0 || st.Mode != syscall.S_IFREG|0o600 {
				return fmt.Errorf("%d bytes, uid %d, mode %o: %w", len(data), st.Uid, st.Mode, err)
			}
			return nil
		},
		token: func(data []byte, st *syscall.Stat_t) error {
			if len(data) != 64 || st.Uid != 0 || st.Mode != syscall.S_IFREG|0o400 {
				return fmt.Errorf("%d bytes, uid %d, mode %o", len(data), st.Uid, st.Mode)
			}
			return nil
		},
	} {
		watchers.Go(func() {
			for inodes := map[uint64]bool{}; ; {
				select {
				case <-stop:
					if len(inodes) < 4 {
						t.Errorf("%s: only %d different files seen", path, len(inodes))
					}
					return
				default:
				}
				ino, err := readTwice(path, good)
				if err != nil {
					t.Errorf("%s: %v", path, err)
					return
				}
				inodes[ino] = true
			}
		})
	}
	for range 5 {
		c.MustCtl("restart", "--rotate-token")
	}
	close(stop)
	watchers.Wait()
}

// readTwice reads an open file twice with a pause. The file must not change meanwhile.
func readTwice(path string, good func([]byte, *syscall.Stat_t) error) (ino uint64, err error) {
	f, err := os.Open(path)
	if err != nil {
		return 0, err // its name always exists
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return 0, err
	}
	st := info.Sys().(*syscall.Stat_t)
	first, err := io.ReadAll(f)
	if err == nil {
		err = good(first, st)
	}
	if err != nil {
		return 0, err
	}
	pause := time.NewTimer(5 * time.Millisecond) // time for a wrong write
	<-pause.C
	second := make([]byte, len(first)+1)
	n, err := f.ReadAt(second, 0)
	if err != nil && err != io.EOF {
		return 0, err
	}
	if !bytes.Equal(first, second[:n]) {
		return 0, fmt.Errorf("inode %d was written to after it was installed", st.Ino)
	}
	return st.Ino, nil
}
