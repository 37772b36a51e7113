// SPDX-License-Identifier: Apache-2.0

package operate

import (
	"errors"
	"strconv"

	"golang.org/x/sys/unix"

	"github.com/gateway-init/gateway-init/internal/fsafe"
	"github.com/gateway-init/gateway-init/internal/reason"
	"github.com/gateway-init/gateway-init/internal/relaycount"
	"github.com/gateway-init/gateway-init/internal/sockets"
	"github.com/gateway-init/gateway-init/internal/status"
	"github.com/gateway-init/gateway-init/supervisor/proof"
)

// CheckPublish is the name of the check of the published port. It is made if the record has
// one.
const CheckPublish = "published_port"

// isPassed reports whether the gateway has the published port's sockets, which PID 1 made.
func isPassed(r *status.Record) bool {
	return r.Publish != nil && r.Publish.Problem == "" && r.Publish.Relay == nil
}

// isHeld reports whether clients use a port that PID 1 holds, and none can reach another
// process by the gateway's own port.
func isHeld(r *status.Record) bool {
	return isPassed(r) || r.Publish != nil && r.Publish.Problem == "" && r.Gateway.RandomPort
}

// clientPort returns the port that clients use.
func clientPort(r *status.Record) uint16 {
	if p := r.Publish; p != nil && p.Problem == "" {
		return p.Port
	}
	return r.Gateway.Port
}

// judgeListeners decides which of the listeners on the gateway's port are the gateway's.
func judgeListeners(r *status.Record, ls []sockets.Listener) (proof.Ownership, []sockets.Listener) {
	switch {
	case isPassed(r):
		return proof.JudgeHeld(ls, r.Publish.Cookies)
	case isHeld(r):
		ls = proof.OnAddress(ls, r.Gateway.UID)
	}
	return proof.Judge(ls, r.Gateway.UID)
}

// checkPublish checks that the sockets which listen on the published port are those that
// PID 1 made, and that a relay lives.
func (l *Local) checkPublish(r *status.Record) Check {
	p := r.Publish
	if p.Problem != "" {
		return FailCheck(CheckPublish, reason.ListenerForeign, "not held: %s", p.Problem)
	}
	ls, err := l.Listeners(p.Port)
	if err != nil && !errors.Is(err, sockets.ErrMany) {
		return skipCheck(CheckPublish, err)
	}
	switch owner, foreign := proof.JudgeHeld(ls, p.Cookies); {
	case owner == proof.Foreign:
		return FailCheck(CheckPublish, reason.ListenerForeign, "%s", names(foreign))
	case owner == proof.Missing:
		return FailCheck(CheckPublish, reason.ListenerMissing, "no process listens on port %d", p.Port)
	case p.Relay != nil && p.Relay.PID == 0:
		return FailCheck(CheckPublish, reason.NotRunning, "the relay does not run: %s", p.Relay.Detail)
	}
	return PassCheck(CheckPublish, "PID 1's sockets alone listen on port %d", p.Port)
}

// publishNext says what to do about a published port that no client can use.
func publishNext(r *status.Record) string {
	if r.Publish.Problem != "" {
		return "end the process that has port " + strconv.Itoa(int(r.Publish.Port)) + ", then restart the container"
	}
	return "wait for the next relay: gatewayctl status --watch; if it does not come, read docker logs CONTAINER"
}

// RelayCounters returns what the relay has counted, or nil if there is no relay. The relay
// writes the file, so the numbers are its own word.
func (l *Local) RelayCounters() *relaycount.Counters {
	dir, err := l.OpenRuntime()
	if err != nil {
		return nil
	}
	defer dir.Close()
	f, err := fsafe.OpenAt(dir, relaycount.Name, unix.O_RDONLY)
	if err != nil {
		return nil
	}
	defer f.Close()
	if _, err := fsafe.Verify(f, fsafe.Want{Type: fsafe.Regular, UID: &l.Owner, Mode: fsafe.Mode(0o600), Links: 1}); err != nil {
		return nil
	}
	c, err := relaycount.Read(f)
	if err != nil {
		return nil
	}
	return &c
}
