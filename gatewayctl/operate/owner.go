// SPDX-License-Identifier: Apache-2.0

package operate

import (
	"context"
	"errors"
	"os"
	"time"

	"github.com/gateway-init/gateway-init/gatewayctl/external"
	"github.com/gateway-init/gateway-init/internal/environ"
	"github.com/gateway-init/gateway-init/internal/procfs"
	"github.com/gateway-init/gateway-init/internal/runtimedir"
)

// awaitOwn gives a foreign PID 1 that has just started the time to start our user's
// supervisor. Root has none.
func (h *Host) awaitOwn(env []string) {
	me := uint32(h.EUID)
	if h.Patience == 0 || me == 0 {
		return
	}
	for until := time.Now().Add(h.Patience); h.Owner != me; time.Sleep(ownEvery) {
		if err := ownSupervisor(me); err != nil && !errors.Is(err, external.ErrNone) || time.Now().After(until) {
			return
		}
		h.Owner = findOwner(env)
	}
}

// isOwnBooting reports whether our supervisor is there, or PID 1 is about to become it.
// Its missing files may still come then.
func (h *Host) isOwnBooting() bool {
	if me := uint32(h.EUID); me != 0 && h.Owner == me && ownerOf(1) != me {
		return ownSupervisor(me) == nil
	}
	return isBooting()
}

// findOwner returns the user of the supervisor that we operate. That is PID 1's user, unless
// we are another user with our own supervisor, below a foreign PID 1 or in a PID namespace
// that is shared with another container.
func findOwner(env []string) uint32 {
	uid, me := ownerOf(1), uint32(os.Geteuid())
	if uid == me {
		return uid
	}
	h := &Host{Owner: me}
	for _, name := range placesOf(me, env) {
		if dir, err := h.openCandidate(name); err == nil {
			dir.Close()
			return me
		}
	}
	if ownSupervisor(me) == nil { // it has not made its directory yet
		return me
	}
	return uid
}

// ownPatience is how long a foreign PID 1 that has just started is given to
// start our supervisor; ownEvery is the time between two looks.
const (
	ownPatience = 2 * time.Second
	ownEvery    = 20 * time.Millisecond
)

// ownSupervisor returns nil if a gateway-init of uid runs below a foreign PID 1.
// Like isBooting it proves nothing; it only decides how long we wait.
func ownSupervisor(uid uint32) error {
	ctx, cancel := context.WithTimeout(context.Background(), ownPatience)
	defer cancel()
	s, err := external.Find(ctx)
	if err != nil {
		return err
	}
	defer s.Close()
	if s.Topology() != external.Managed || s.UIDs[0] != uid {
		return errors.New("it is another user's")
	}
	return nil
}

// placesOf returns the places where a supervisor of uid may have its files, which without
// root depend on an environment that is the supervisor's too.
func placesOf(uid uint32, env []string) []string {
	if uid == 0 {
		return runtimeDirs()
	}
	xdg, _ := environ.Clean(env).Value("XDG_RUNTIME_DIR")
	return runtimedir.Own(xdg, uid)
}

// ownerOf returns the uid of a process if all four are the same, and otherwise 0, so that only
// root may do anything (I2).
func ownerOf(pid int) uint32 {
	p, err := procfs.ReadStatus(pid)
	if err != nil || !p.Only(p.UIDs[0]) {
		return 0
	}
	return p.UIDs[0]
}
