// SPDX-License-Identifier: Apache-2.0

package supervisor

import (
	"errors"
	"net"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"github.com/gateway-init/gateway-init/internal/procfs"
	"github.com/gateway-init/gateway-init/internal/reason"
	"github.com/gateway-init/gateway-init/internal/status"
	"github.com/gateway-init/gateway-init/internal/sys"
	"github.com/gateway-init/gateway-init/internal/testenv"
	"github.com/gateway-init/gateway-init/supervisor/launch"
	"github.com/gateway-init/gateway-init/supervisor/proof"
)

// gatewayEnds reports the end of the gateway, as the loop does.
func (d *fixture) gatewayEnds() {
	d.unit.child.exit = &sys.Exit{PID: d.unit.child.pid()}
	d.gatewayEnded(d.unit.child)
	d.apply()
}

// lives returns the ID of a live process, and zombie that of one that is not reaped
// before the end of the test.
func lives(t *testing.T) procfs.ID {
	id, err := procfs.Identify(os.Getpid())
	check(t, err)
	return id
}

func zombie(t *testing.T) procfs.ID {
	cmd := exec.Command("true")
	check(t, cmd.Start())
	t.Cleanup(func() { cmd.Wait() })
	id, err := procfs.Identify(cmd.Process.Pid)
	check(t, err)
	testenv.Eventually(t, "its end", func() bool { return errors.Is(id.Verify(), procfs.ErrGone) })
	return id
}

// listens makes this test listen on its port, as its gateway. Both are of the test's
// user.
func (d *fixture) listens() {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	check(d.t, err)
	d.t.Cleanup(func() { l.Close() })
	d.port, d.c.Gateway.UID = uint16(l.Addr().(*net.TCPAddr).Port), uint32(os.Getuid())
}

// startsAgain renews the token, as the next start does.
// publishes gives each gateway another port, behind a published one.
func (d *fixture) publishes(problem string) {
	d.c.PickPort = func() (uint16, error) { return d.port, nil }
	d.c.Base.Publish = &status.Publish{Port: 18789, Problem: problem}
}

func (d *fixture) startsAgain() {
	d.t.Helper()
	check(d.t, d.unit.renewToken())
}

// TestNewTokenAfterExposure checks that the next start gets a new token only if the
// old one may be known. A rotation costs every client its credential.
func TestNewTokenAfterExposure(t *testing.T) {
	foreign := func(d *fixture) { d.verdict(proof.ForeignPeer) }
	for name, c := range map[string]struct {
		before func(*fixture)
		ends   func(*fixture) // while the gateway runs
		want   int            // new tokens at the next start
		why    string
	}{
		"plain-exit":       {func(*fixture) {}, (*fixture).gatewayEnds, 0, ""},
		"foreign-answered": {foreign, (*fixture).gatewayEnds, 1, "foreign listener"},
		"foreign-beside": {func(d *fixture) {
			d.listens()
			d.c.Gateway.UID = testenv.Gateway
			d.foreignBeside()
			d.port = 0
		}, (*fixture).gatewayEnds, 1, "foreign listener"},
		"refused":           {func(d *fixture) { d.verdict(proof.Refused) }, (*fixture).gatewayEnds, 0, ""},
		"client":            {func(d *fixture) { d.clients = true }, (*fixture).gatewayEnds, 1, "client"},
		"client-before":     {func(d *fixture) { d.clients = true; d.clients = false }, (*fixture).gatewayEnds, 0, ""},
		"client-unknown":    {func(d *fixture) { d.c.Clients = func() (bool, error) { return false, errors.New("x") } }, (*fixture).gatewayEnds, 1, "client"},
		"sidecar-no-token":  {func(d *fixture) { d.beside("always") }, (*fixture).gatewayEnds, 0, ""},
		"sidecar-had-token": {func(d *fixture) { d.beside("always").launch.Spec.Token = &launch.Token{} }, (*fixture).gatewayEnds, 1, "sidecar side"},
		"sidecar-ended-before": {func(d *fixture) {
			d.listens()
			s := d.beside("always")
			s.launch.Spec.Token, d.unit.child.id = &launch.Token{}, lives(d.t)
			d.ends(s, 0, nil)
		}, (*fixture).gatewayEnds, 0, ""},
		"sidecar-ended-without-listener": {func(d *fixture) {
			s := d.beside("always")
			s.launch.Spec.Token, d.unit.child.id = &launch.Token{}, lives(d.t)
			d.ends(s, 0, nil)
		}, (*fixture).gatewayEnds, 1, "sidecar side"},
		"sidecar-reaped-before": {func(d *fixture) { // the gateway is a zombie by then
			d.listens()
			s := d.beside("always")
			s.launch.Spec.Token, d.unit.child.id = &launch.Token{}, zombie(d.t)
			d.ends(s, 0, nil)
		}, (*fixture).gatewayEnds, 1, "sidecar side"},
		"client-of-a-held-port":  {func(d *fixture) { d.clients = true; d.publishes("") }, (*fixture).gatewayEnds, 0, ""},
		"client-of-a-taken-port": {func(d *fixture) { d.clients = true; d.publishes("another process has it") }, (*fixture).gatewayEnds, 1, "client"},
		"other-reaped-before": {func(d *fixture) {
			s := d.beside("always")
			d.unit.child.id = zombie(d.t)
			d.ends(s, 0, nil)
		}, (*fixture).gatewayEnds, 0, ""},
	} {
		t.Run(name, func(t *testing.T) {
			d := newFixture(t).running()
			c.before(d)
			c.ends(d)
			d.startsAgain()
			if d.token.committed != c.want || d.token.prepared != c.want {
				t.Errorf("%d prepared, %d committed, want %d", d.token.prepared, d.token.committed, c.want)
			}
			if logged := strings.Contains(d.log.String(), `"event":"token-rotated","detail":`); logged != (c.want > 0) || !strings.Contains(d.log.String(), c.why) {
				t.Errorf("logged %s", d.log.String())
			}
			d.startsAgain()
			if d.token.committed != c.want || d.forgot != c.want {
				t.Errorf("the start after that: %d tokens, clients were forgotten %d times", d.token.committed, d.forgot)
			}
		})
	}
}

// TestNewTokenAfterPortWasTaken checks that a taken port costs no token at each try.
// The start after that mints one, because the agent had the port.
func TestNewTokenAfterPortWasTaken(t *testing.T) {
	d, _ := taken(t)
	for range 3 {
		d.again()
	}
	if d.token.committed != 0 || d.unit.trouble.reason != reason.ListenerForeign {
		t.Errorf("%d tokens, %s", d.token.committed, d.unit.trouble.reason)
	}
	d.startsAgain()
	if d.token.committed != 1 {
		t.Errorf("%d tokens", d.token.committed)
	}
}

// TestNoStartWithoutNewToken checks that there is no start without a new token if the
// old one may be known. The next try mints one.
func TestNoStartWithoutNewToken(t *testing.T) {
	d := newFixture(t).running()
	d.clients, d.token.fail = true, errors.New("no space")
	d.gatewayEnds()
	d.clients = false
	d.unit.child, d.c.Prepare = nil, func() error { return nil }
	d.unit.launch()
	if d.unit.start.err == nil || d.unit.start.err.reason != reason.TokenFailed || !d.unit.start.err.plain || !strings.Contains(d.unit.start.err.err.Error(), "no space") {
		t.Fatalf("%+v", d.unit.start.err)
	}
	d.token.fail, d.unit.events = nil, nil
	d.startsAgain()
	if d.token.committed != 1 {
		t.Errorf("%d tokens", d.token.committed)
	}
}

// TestRotationCoversExposure checks that a requested rotation is the only new token.
func TestRotationCoversExposure(t *testing.T) {
	d := newFixture(t).running()
	d.clients, d.unit.token.rotate = true, true
	d.gatewayEnds()
	d.startsAgain()
	if d.token.prepared != 0 || d.token.committed != 1 || d.unit.token.rotate || d.unit.token.exposed != "" {
		t.Errorf("%d prepared, %d committed, %q", d.token.prepared, d.token.committed, d.unit.token.exposed)
	}
}

// TestTokenFileMissing checks that no child is started with a missing token.
func TestTokenFileMissing(t *testing.T) {
	d := newFixture(t).running()
	d.token.missing = errors.New("it is gone")
	d.c.Gateway.Spec.Token = &launch.Token{Env: "T"}
	d.unit.child, d.c.Prepare = nil, func() error { return nil }
	d.unit.launch()
	if d.unit.start.err == nil || d.unit.start.err.reason != reason.TokenFailed || !d.unit.start.err.plain {
		t.Fatalf("%+v", d.unit.start.err)
	}
	s := d.running().beside("always")
	s.launch.Spec.Token, s.child = &launch.Token{Env: "T"}, nil
	d.sidecars.begin(s)
	if s.child != nil || s.rec.State != "failed" || !strings.Contains(s.rec.Detail, "it is gone") {
		t.Errorf("%s: %s", s.rec.State, s.rec.Detail)
	}
}

// TestHoldersEndWithGateway checks that a sidecar with the token ends with its group.
// That is no failure, and it is wanted again. A sidecar without the token stays.
func TestHoldersEndWithGateway(t *testing.T) {
	d := newFixture(t).running()
	start := func(token *launch.Token) (*sidecar, *exec.Cmd) {
		cmd := exec.Command("sh", "-c", "sleep 1000 & echo on; wait")
		cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
		out, err := cmd.StdoutPipe()
		check(t, err)
		check(t, cmd.Start())
		t.Cleanup(func() { syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) })
		_, err = out.Read(make([]byte, 1)) // the second process is there
		check(t, err)
		s := d.beside("always")
		s.child.proc, s.launch.Spec.Token = &launch.Proc{PID: cmd.Process.Pid}, token
		return s, cmd
	}
	holder, holds := start(&launch.Token{})
	_, stays := start(nil)
	d.gatewayEnds()
	check(t, func() error { _, err := holds.Process.Wait(); return err }())
	testenv.Eventually(t, "the end of its group", func() bool { return syscall.Kill(-holds.Process.Pid, 0) != nil })
	if err := syscall.Kill(-stays.Process.Pid, 0); err != nil {
		t.Errorf("the sidecar without the token: %v", err)
	}
	d.ends(holder, 9, nil)
	if holder.rec.Restarts != 0 || !holder.wanted || !holder.due.IsZero() || d.unit.phase == phaseRunning {
		t.Errorf("%+v", holder.rec)
	}
	check(t, stays.Process.Kill())
	stays.Process.Wait()
}

// TestHolderWaitsForGateway checks that a sidecar with the token does not start
// beside a gateway that has ended and is not reaped yet, nor while another process
// listens on its port. It is tried again.
func TestHolderWaitsForGateway(t *testing.T) {
	d := newFixture(t).running()
	d.listens()
	s := d.beside("always")
	s.launch.Spec.Token, s.child = &launch.Token{Env: "T"}, nil
	d.token.missing = errors.New("it was started")
	for name, wait := range map[string]func(){
		"ended":   func() { d.unit.child.id = zombie(t) },
		"foreign": func() { d.unit.child.id, d.c.Gateway.UID = lives(t), testenv.Gateway },
		"closed":  func() { d.port = 0 },
		"taken":   func() { d.c.Base.Publish = &status.Publish{Problem: "another process has it"} }, // clients use that port
	} {
		port := d.port
		wait()
		d.tendSidecars()
		if s.rec.State == "failed" || !d.timers.armed(sidecarTimer) {
			t.Errorf("%s: %s, tried again: %v", name, s.rec.State, d.timers.armed(sidecarTimer))
		}
		d.port, d.c.Gateway.UID, d.c.Base.Publish = port, uint32(os.Getuid()), nil
	}
	d.unit.child.id = lives(t)
	d.tendSidecars()
	if s.rec.State != "failed" {
		t.Error("it was not started beside a gateway that lives and has its port")
	}
}

// TestHoldersEndBesideForeignListener checks that a sidecar with the token ends,
// because it could connect to the other listener next. The gateway stays.
func TestHoldersEndBesideForeignListener(t *testing.T) {
	d := newFixture(t).running()
	d.listens()
	d.unit.child.id = lives(t)
	holder, other := d.beside("always"), d.beside("always")
	holder.launch.Spec.Token = &launch.Token{}
	d.prove(healthProof) // no worker can be started
	if holder.child.asked || d.unit.token.exposed != "" {
		t.Errorf("asked %v, %q", holder.child.asked, d.unit.token.exposed)
	}
	d.c.Gateway.UID = testenv.Gateway // the listener now belongs to another user
	d.prove(healthProof)
	if !holder.child.asked || other.child.asked || d.unit.token.exposed != seenForeign || d.unit.phase != phaseRunning {
		t.Errorf("holder asked %v, other %v, %q, %v", holder.child.asked, other.child.asked, d.unit.token.exposed, d.unit.phase)
	}
}

// TestCommitFails checks that a requested rotation that fails is not tried forever.
// The next start prepares another token.
func TestCommitFails(t *testing.T) {
	d := newFixture(t).running()
	d.unit.token.rotate, d.token.broken = true, errors.New("it is gone")
	if err := d.unit.renewToken(); err == nil || d.unit.token.rotate {
		t.Fatalf("%v, rotate %v", err, d.unit.token.rotate)
	}
	d.token.broken = nil
	d.startsAgain()
	if d.token.prepared != 1 || d.token.committed != 1 {
		t.Errorf("%d prepared, %d committed", d.token.prepared, d.token.committed)
	}
}

// TestChildWithoutOOMScoreIsNamed checks that the failure is listed once.
func TestChildWithoutOOMScoreIsNamed(t *testing.T) {
	d := newFixture(t)
	for range 2 {
		d.noteUnscored(errors.New("read-only file system"))
		d.noteUnscored(nil)
	}
	if h := d.record().Hardening; len(h) != 1 || h[0].Name != "oom-score" || h[0].Detail != "read-only file system" {
		t.Errorf("%+v", h)
	}
}
