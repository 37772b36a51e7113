// SPDX-License-Identifier: Apache-2.0

package supervisor

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/gateway-init/gateway-init/internal/config"
	"github.com/gateway-init/gateway-init/internal/status"
	"github.com/gateway-init/gateway-init/supervisor/control"
	"github.com/gateway-init/gateway-init/supervisor/launch"
	"github.com/gateway-init/gateway-init/supervisor/proof"
)

// fixture is a Supervisor that starts nothing. Its input comes from the test, and its
// answers go into real files.
type fixture struct {
	*Supervisor
	t         *testing.T
	dir       string
	log       bytes.Buffer
	token     fakeToken
	published []status.Record
	clients   bool  // a client holds the lock
	forgot    int   // how often clients were forgotten
	full      bool  // there is no space for the status record
	unsafe    error // the error of Validate
	noRoom    error // the error of Room

	unprepared, gone error // the errors of Prepare and Launchable
	rec              status.Record
}

// fill reads the status record from the owners.
func (d *fixture) fill() { d.rec = d.record() }

// finds handles the result of a proof.
func (d *fixture) finds(p purpose, r result) {
	r.purpose = p
	d.proved(&r)
}

// verdict handles a worker's verdict on the running gateway.
func (d *fixture) verdict(v proof.Verdict) {
	r := result{}
	r.judge(v, config.Probe{})
	d.finds(requestProof, r)
}

// wantsSidecars wants and starts the sidecars, as after a proof.
func (d *fixture) wantsSidecars() {
	d.sidecars.want()
	d.tendSidecars()
}

// fakeToken counts the calls. No test needs a token.
type fakeToken struct {
	prepared, committed, aborted int
	fail                         error
	missing                      error // the error of Open
	broken                       error // the error of Commit
}

func (f *fakeToken) Open() (*os.File, error) {
	if f.missing != nil {
		return nil, f.missing
	}
	return os.Open(os.DevNull)
}
func (f *fakeToken) Sum() [32]byte        { return [32]byte{} }
func (f *fakeToken) Status() status.Token { return status.Token{Path: "token"} }
func (f *fakeToken) Prepare() error       { f.prepared++; return f.fail }
func (f *fakeToken) Commit() error {
	if f.broken == nil {
		f.committed++
	}
	return f.broken
}
func (f *fakeToken) Abort() error { f.aborted++; return nil }

func newFixture(t *testing.T) *fixture {
	t.Helper()
	d := &fixture{t: t, dir: t.TempDir()}
	dir, err := os.Open(d.dir)
	check(t, err)
	t.Cleanup(func() { dir.Close() })
	d.Supervisor = New(Config{
		Settings: &config.Config{Gateway: config.Gateway{StopGrace: 7 * time.Second, BackoffMin: time.Second, BackoffMax: time.Minute,
			Ready: config.Probe{Timeout: time.Minute}, GiveUp: 4 * time.Minute, Health: config.Probe{Interval: 30 * time.Second}}},
		Gateway: &launch.Child{}, Token: &d.token, Log: zerolog.New(&d.log),
		Sweeper:  fakeSweeper{},
		Validate: func() error { return d.unsafe }, Room: func() error { return d.noRoom },
		Prepare: func() error { return d.unprepared }, Launchable: func() error { return d.gone },
		Clients: func() (bool, error) { return d.clients, nil },

		ForgetClients: func() error { d.forgot++; return nil },
		Publish: func(r status.Record) error {
			if d.full {
				return errors.New("no space")
			}
			d.published = append(d.published, r)
			return nil
		},
	})
	return d
}

// serving gives the fixture its FIFO and replies. It does not work in a synctest
// bubble, because the FIFO's reader waits outside of it.
func (d *fixture) serving() *fixture {
	d.t.Helper()
	dir, err := os.Open(d.dir)
	check(d.t, err)
	d.t.Cleanup(func() { dir.Close() })
	server, err := control.NewServer(dir)
	check(d.t, err)
	d.c.Server = server
	d.t.Cleanup(server.Close)
	return d
}

// running gives the fixture a proven gateway. That gateway is no process, so no test
// may signal it.
func (d *fixture) running() *fixture {
	d.unit.phase, d.unit.start.proven = phaseRunning, time.Now()
	d.unit.child = &child{proc: &launch.Proc{PID: 77}, started: time.Now()}
	return d
}

func nonce(n int) string { return fmt.Sprintf("%064x", n) }

// request receives a frame, as if it had come over the FIFO.
func (d *fixture) request(n int, words string) {
	r, err := control.Decode([]byte("v1 " + nonce(n) + " " + words))
	d.receive(control.Incoming{Request: r, Err: err})
}

// inProgress makes j the request in progress, in a state.
func (d *fixture) inProgress(j *control.Job, state requestState) {
	d.requests.begin(j, d.unit.child.pid(), state)
}

// step runs one round of the loop without waiting.
func (d *fixture) step() { d.handleEvents() }

// reply returns the text that requester n reads, or "" if there is none.
func (d *fixture) reply(n int) string {
	d.t.Helper()
	d.deliver()
	return d.written(n)
}

// written returns the reply that requester n has.
func (d *fixture) written(n int) string {
	d.t.Helper()
	data, err := os.ReadFile(filepath.Join(d.dir, control.Dir, control.Replies, nonce(n)))
	if errors.Is(err, fs.ErrNotExist) {
		return ""
	}
	check(d.t, err)
	return strings.TrimSuffix(strings.TrimPrefix(string(data), "v1 "+nonce(n)+" "), "\n")
}

// replies fails the test unless the requesters 1, 2, ... read these texts.
func (d *fixture) replies(want ...string) {
	d.t.Helper()
	for i, w := range want {
		if got := d.reply(i + 1); got != w {
			d.t.Errorf("requester %d reads %q, want %q", i+1, got, w)
		}
	}
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func (t *timers) armed(k timerKind) bool { return !t.due[k].IsZero() }
