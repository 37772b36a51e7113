// SPDX-License-Identifier: Apache-2.0

package faults

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/gateway-init/gateway-init/internal/status"
	"github.com/gateway-init/gateway-init/tests/ns/box"
)

// TestControlFIFOTampered moves, opens up or deletes the FIFO, as a script of root
// could. The gateway must still accept commands, and the replacement must not be
// taken for a request.
func TestControlFIFOTampered(t *testing.T) {
	const path = box.Runtime + "/control/request"
	request := "v1 " + strings.Repeat("a", 64) + " stop\n"
	for name, tamper := range map[string]func(host string) error{
		"deleted":      os.Remove,
		"moved-away":   func(host string) error { return os.Rename(host, host+".old") },
		"mode-changed": func(host string) error { return os.Chmod(host, 0o666) },
		"given-away":   func(host string) error { return os.Chown(host, box.SandboxUID, box.SandboxUID) },
		"linked":       func(host string) error { return os.Link(host, host+".old") },
		"regular-file": func(host string) error {
			return errors.Join(os.Remove(host), os.WriteFile(host, []byte(request), 0o600))
		},
		"another-fifo": func(host string) error { return errors.Join(os.Remove(host), unix.Mkfifo(host, 0o600)) },
		"symbolic-link": func(host string) error {
			return errors.Join(os.Remove(host), os.Symlink("/etc/passwd", host))
		},
		"directory": func(host string) error { return errors.Join(os.Remove(host), os.Mkdir(host, 0o700)) },
		"device":    func(host string) error { return errors.Join(os.Remove(host), unix.Mknod(host, unix.S_IFCHR|0o600, 0)) },
	} {
		t.Run(name, func(t *testing.T) {
			b := box.Start(t, box.Options{Config: map[string]any{"gateway": map[string]any{"health": map[string]any{"interval": "1s", "timeout": "1s"}}}})
			before := b.WaitServing(10 * time.Second)
			if err := tamper(b.Path(path)); err != nil {
				t.Fatal(err)
			}
			b.WaitRecord(10*time.Second, "a FIFO of PID 1's", func(status.Record) error {
				info, err := os.Lstat(b.Path(path))
				if err != nil {
					return err
				}
				st := info.Sys().(*syscall.Stat_t)
				if st.Mode != unix.S_IFIFO|0o600 || st.Uid != 0 || st.Nlink != 1 {
					return fmt.Errorf("mode %o, uid %d, %d links", st.Mode, st.Uid, st.Nlink)
				}
				if !strings.Contains(b.Log(), `"event":"fifo`) {
					return fmt.Errorf("the log has no word of it")
				}
				return nil
			})
			if after := b.WaitServing(time.Second); after.Gateway.Process != before.Gateway.Process {
				t.Error("the gateway was replaced")
			}
			b.MustCtl("restart")
			b.MustCtl("probe")
		})
	}
}

// TestControlFIFOMissingAtRequest checks that a request right after a deletion of
// the FIFO waits for the new FIFO. The caller does not see the deletion.
func TestControlFIFOMissingAtRequest(t *testing.T) {
	b := box.Start(t, box.Options{Config: map[string]any{"gateway": map[string]any{"health": map[string]any{"interval": "1s", "timeout": "1s"}}}})
	b.WaitServing(10 * time.Second)
	if err := os.Remove(b.Path(box.Runtime + "/control/request")); err != nil {
		t.Fatal(err)
	}
	if r := b.Ctl("restart"); r.Code != 0 {
		t.Errorf("restart without a FIFO: %v", r)
	}
}
