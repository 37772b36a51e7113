// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/gateway-init/gateway-init/gatewayctl/external"
	"github.com/gateway-init/gateway-init/gatewayctl/operate"
	"github.com/gateway-init/gateway-init/internal/clientlock"
	"github.com/gateway-init/gateway-init/internal/config"
	"github.com/gateway-init/gateway-init/internal/procfs"
	"github.com/gateway-init/gateway-init/internal/proven"
	"github.com/gateway-init/gateway-init/internal/sockets"
	"github.com/gateway-init/gateway-init/internal/status"
	"github.com/gateway-init/gateway-init/internal/sys"
	"github.com/gateway-init/gateway-init/supervisor/control"
	"github.com/gateway-init/gateway-init/supervisor/proof"
	"github.com/gateway-init/gateway-init/tokenfile"
)

var update = flag.Bool("update", false, "write testdata")

// noon is the time at which every golden output is made.
var noon = time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)

func before(d time.Duration) time.Time { return noon.Add(-d) }

func ptr[T any](v T) *T { return &v }

// servingRecord returns the record of a gateway that serves.
func servingRecord() status.Record {
	me := uint32(os.Geteuid())
	return status.Record{
		Schema: status.Schema, Version: "dev", UpdatedAt: before(2 * time.Second), StartedAt: before(26 * time.Hour),
		Init: procfs.ID{PID: 1, Start: 100}, RuntimeDir: "/run/gateway-init",
		State: status.Running, Goal: status.GoalRun, Since: before(192 * time.Second),
		Gateway: status.Gateway{Process: procfs.ID{PID: 34, Start: 4711}, UID: 1001, GID: 1001, Port: 18789,
			StartedAt: ptr(before(195 * time.Second)), ProvenAt: ptr(before(192 * time.Second)), Enabled: true},
		Health: status.Health{State: status.Serving, Limit: 4, At: ptr(before(12 * time.Second))},
		Proof: status.Proof{Child: status.Held, Listener: status.Held, Ready: status.Held, Auth: status.Held,
			At: ptr(before(192 * time.Second))},
		Restarts:    2,
		LastExit:    &status.Exit{PID: 12, At: before(196 * time.Second), Requested: true, Proven: true},
		LastRequest: &status.LastRequest{Nonce: "1f2e3d4c", Action: "restart", Result: "complete ok 12 34", At: before(192 * time.Second)},
		Command:     &status.Child{Name: "command", State: "running", PID: 20, UID: 1000},
		Token: status.Token{Path: "/run/gateway-init/gateway-token", UID: me, GID: uint32(os.Getegid()), Mode: "0400",
			Dev: 1, Inode: 2, MintedAt: before(26 * time.Hour), Generation: 1},
		Separation: "uid", Hardening: []status.Hardening{},
	}
}

// fixture is a runtime directory and an app that reads it, for any uid.
type fixture struct {
	*app
	t        *testing.T
	path     string
	out, err bytes.Buffer
	record   status.Record
	lock     *os.File // PID 1's lock of clients
}

func newFixture(t *testing.T) *fixture {
	t.Helper()
	w := &fixture{t: t, path: filepath.Join(t.TempDir(), "gateway-init"), record: servingRecord()}
	must(t, os.Mkdir(w.path, 0o711))
	w.record.RuntimeDir = w.path
	w.record.Token.Path = filepath.Join(w.path, tokenfile.Name)
	w.app = &app{
		stdio: stdio{in: strings.NewReader(""), out: &w.out, err: &w.err},
		local: &operate.Local{Host: operate.Host{
			Now: func() time.Time { return noon }, EUID: os.Geteuid(), EGID: 1001, Owner: uint32(os.Geteuid()),
			Defaults: func() []string { return []string{w.path} },
			Hold:     func(procfs.ID) (*os.File, error) { return holdSelf() },
			Connect:  func(*proven.Life, time.Time) error { return nil },
			Booting:  func() bool { return false },
			Process:  func(procfs.ID) error { return nil },
			Threads:  func(procfs.ID) int { return 5 },
			Config:   func() (*config.Config, error) { return nil, errors.New("no configuration") },
			Find:     func(context.Context) (*external.Supervisor, error) { return nil, external.ErrNone },
			UIDs: func(int) (procfs.Status, error) {
				return procfs.Status{State: procfs.Running, UIDs: [4]uint32{1001, 1001, 1001, 1001}}, nil
			},
			Listeners: func(port uint16) ([]sockets.Listener, error) {
				return []sockets.Listener{listener("127.0.0.1:18789", 1001)}, nil
			},
			Held: func(ls []sockets.Listener, pid int) (proof.Ownership, []sockets.Listener, error) {
				o, foreign := proof.Judge(ls, 1001)
				return o, foreign, nil
			},
			TokenTries: 1,
		}},
	}
	w.operator = w.local
	return w
}

// holdSelf returns a pidfd of this process, which lives as long as the test.
func holdSelf() (*os.File, error) {
	fd, err := sys.PidfdOpen(os.Getpid())
	return os.NewFile(uintptr(fd), "pidfd"), err
}

func listener(addr string, uid uint32) sockets.Listener {
	return sockets.Listener{Addr: netip.MustParseAddrPort(addr), UID: uid, Inode: 7}
}

// publish writes the record as PID 1 would.
func (w *fixture) publish() {
	w.t.Helper()
	data, err := status.Encode(w.record)
	must(w.t, err)
	file := filepath.Join(w.path, status.Name)
	must(w.t, os.WriteFile(file+".t", data, 0o600))
	must(w.t, os.Rename(file+".t", file))
}

// mint puts a token file in place and its identity into the record.
func (w *fixture) mint(text string) {
	w.t.Helper()
	file := filepath.Join(w.path, tokenfile.Name)
	must(w.t, os.WriteFile(file, []byte(text), 0o400))
	w.identify()
}

func (w *fixture) identify() {
	w.t.Helper()
	dir, err := os.Open(w.path)
	must(w.t, err)
	defer dir.Close()
	i := statAt(w.t, dir, tokenfile.Name)
	w.record.Token.Dev, w.record.Token.Inode = i.Dev, i.Ino
}

// serve answers requests over a real FIFO until the test ends.
func (w *fixture) serve(answer func(s *control.Server, r control.Request)) {
	w.t.Helper()
	dir, err := os.Open(w.path)
	must(w.t, err)
	s, err := control.NewServer(dir)
	must(w.t, err)
	done, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		for {
			select {
			case r := <-s.Requests():
				answer(s, r.Request)
			case <-done:
				return
			}
		}
	}()
	w.t.Cleanup(func() { close(done); <-ended; s.Close(); dir.Close() })
}

// up starts a supervisor with a gateway that serves.
func (w *fixture) up() {
	w.serve(func(*control.Server, control.Request) {})
	w.makeLock()
	w.mint(strings.Repeat("0123456789abcdef", 4))
	w.publish()
}

// makeLock makes the lock of clients, as PID 1 does at boot.
func (w *fixture) makeLock() {
	w.t.Helper()
	dir, err := os.Open(w.path)
	must(w.t, err)
	defer dir.Close()
	lock, err := clientlock.Make(dir)
	must(w.t, err)
	w.t.Cleanup(func() { lock.Close() })
	w.lock = lock
}

// run runs one command line and returns its exit code.
func (w *fixture) run(args ...string) int {
	w.out.Reset()
	w.err.Reset()
	return w.dispatch(args)
}

// want checks the exit code and the output. "" means no output, other text a part of it.
func (w *fixture) want(gotCode, code int, out, err string) {
	w.t.Helper()
	if gotCode != code {
		w.t.Errorf("exit code %d, want %d", gotCode, code)
	}
	for name, pair := range map[string][2]string{"stdout": {w.out.String(), out}, "stderr": {w.err.String(), err}} {
		if pair[1] == "" && pair[0] != "" || !strings.Contains(pair[0], pair[1]) {
			w.t.Errorf("%s is %q, want %q in it", name, pair[0], pair[1])
		}
	}
}

// golden compares text with a file in testdata.
func golden(t *testing.T, name, text string) {
	t.Helper()
	file := filepath.Join("testdata", name)
	if *update {
		must(t, os.MkdirAll("testdata", 0o755))
		must(t, os.WriteFile(file, []byte(text), 0o644))
		return
	}
	want, err := os.ReadFile(file)
	must(t, err)
	if text != string(want) {
		t.Errorf("%s differs (go test -update writes it):\n%s", file, text)
	}
}

func decode(t *testing.T, text string) (got jsonStatus) {
	t.Helper()
	must(t, json.Unmarshal([]byte(text), &got))
	return got
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
