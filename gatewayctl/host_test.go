// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"io/fs"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/gateway-init/gateway-init/internal/procfs"
	"github.com/gateway-init/gateway-init/internal/sockets"
)

// TestNewHost asks the real kernel for the answers that other tests fake.
func TestNewHost(t *testing.T) {
	h := newHost(nil)
	me, err := procfs.Identify(os.Getpid())
	must(t, err)
	if err := h.process(procfs.ID{PID: me.PID, Start: me.Start}); err != nil {
		t.Errorf("this process is not itself: %v", err)
	}
	if err := h.process(procfs.ID{PID: me.PID, Start: me.Start + 1}); !errors.Is(err, procfs.ErrReplaced) {
		t.Errorf("another start time: %v", err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	defer l.Close()
	port := uint16(l.Addr().(*net.TCPAddr).Port)
	ls, err := h.listeners(port)
	if err != nil || len(ls) != 1 || ls[0].UID != uint32(os.Geteuid()) {
		t.Errorf("listeners(%d) = %v, %v", port, ls, err)
	}
	dirs := h.defaults()
	if len(dirs) != 2 || dirs[1] != fallbackRuntimeDir {
		t.Errorf("defaults = %v", dirs)
	}
}

// TestPatience checks that a user below a foreign PID 1 waits for its own
// supervisor, except with a verb that needs none.
func TestPatience(t *testing.T) {
	w := newFixture(t)
	w.euid, w.owner = 54321, 0
	w.patience = time.Hour
	w.want(w.run("version"), exitOK, "gatewayctl", "")
	w.want(w.run("help"), exitOK, "usage", "")
	w.patience = time.Millisecond
	w.want(w.run("status"), exitRefused, "", "only root may, this is uid 54321")
}

// TestCandidates checks that the first directory with a supervisor's files counts.
// An unsafe directory is an error only if there is no such directory.
func TestCandidates(t *testing.T) {
	w := newFixture(t)
	w.up()
	empty, loose := t.TempDir(), t.TempDir()
	must(t, os.Chmod(loose, 0o777))
	tests := map[string]struct {
		dirs []string
		want func(error) bool
	}{
		"second":          {[]string{"/nowhere", w.path}, func(err error) bool { return err == nil }},
		"empty-first":     {[]string{empty, w.path}, func(err error) bool { return err == nil }},
		"unsafe-first":    {[]string{loose, w.path}, func(err error) bool { return err == nil }},
		"unsafe-only":     {[]string{loose, "/nowhere"}, func(err error) bool { return strings.Contains(err.Error(), "writable by others") }},
		"none":            {[]string{"/nowhere", empty}, func(err error) bool { return errors.Is(err, fs.ErrNotExist) }},
		"not-a-directory": {[]string{"/proc/self/stat"}, func(err error) bool { return err != nil }},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			w.defaults = func() []string { return test.dirs }
			dir, err := w.openRuntime()
			if !test.want(err) {
				t.Errorf("openRuntime = %v", err)
			}
			if err == nil {
				dir.Close()
			}
		})
	}
}

func TestNames(t *testing.T) {
	var ls []sockets.Listener
	for range 6 {
		ls = append(ls, listener("[::1]:1", 1000))
	}
	if got := names(ls); !strings.HasSuffix(got, "uid 1000, 2 more") {
		t.Errorf("names = %q", got)
	}
}
