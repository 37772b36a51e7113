// SPDX-License-Identifier: Apache-2.0

package boot

import (
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/gateway-init/gateway-init/internal/config"
	"github.com/gateway-init/gateway-init/internal/sys"
	"github.com/gateway-init/gateway-init/internal/testenv"
)

// TestUnconfinedGatewayIsNamed checks that a gateway is confined if and only if the
// configuration asks and the kernel can, and which names are listed otherwise.
func TestUnconfinedGatewayIsNamed(t *testing.T) {
	refuse := func(errno unix.Errno, call uint32) func(*testing.T) {
		return func(t *testing.T) { testenv.Refuse(t, errno, call) }
	}
	for name, c := range map[string]struct {
		asked, rootless, noGateway bool
		prepare                    func(t *testing.T)
		confined                   bool
		says                       string // of gateway-not-confined; "": it is not listed
		open                       bool   // environment-open-in-children is listed
	}{
		"asked":            {asked: true, confined: true},
		"not-asked":        {open: true},
		"no-gateway":       {asked: true, noGateway: true},
		"one-user":         {rootless: true},
		"one-user-asks":    {asked: true, rootless: true, confined: true},
		"no-landlock":      {asked: true, prepare: refuse(unix.ENOSYS, unix.SYS_LANDLOCK_CREATE_RULESET), says: "gateway.confine cannot be carried out: landlock_create_ruleset: function not implemented: ", open: true},
		"one-user-without": {asked: true, rootless: true, prepare: refuse(unix.EPERM, unix.SYS_LANDLOCK_RESTRICT_SELF), says: "landlock_restrict_self: operation not permitted: ", open: true},
		"two-procfs": {asked: true, confined: true, says: "procfs is mounted at /mnt, too: start the container without that mount", open: true,
			prepare: func(t *testing.T) { testenv.Must(t, unix.Mount("/proc", "/mnt", "", unix.MS_BIND, "")) }},
		"mounts-unknown": {asked: true, confined: true, says: "cannot tell whether gateway.confine closes every procfs: ", open: true,
			prepare: func(t *testing.T) {
				text := put(t, t.TempDir(), "mountinfo", "nonsense\n", 0o644, 0, 0)
				testenv.Must(t, unix.Mount(text, "/proc/self/mountinfo", "", unix.MS_BIND, ""))
			}},
	} {
		t.Run(name, func(t *testing.T) {
			if !testenv.Inside(t, unix.CLONE_NEWNS) {
				return
			}
			testenv.Must(t, sys.NoNewPrivs())
			if c.prepare != nil {
				c.prepare(t)
			}
			b := container(t)
			b.rootless, b.settings.noGateway = c.rootless, c.noGateway
			if c.asked {
				b.cfg.Gateway.Confine = config.ConfineProc
			}
			b.confine()
			got, listed := found(b.hardening, "gateway-not-confined")
			if listed != (c.says != "") || !strings.Contains(got, c.says) {
				t.Errorf("got %+v, want %q", b.hardening, c.says)
			}
			if _, open := found(b.hardening, "environment-open-in-children"); open != c.open {
				t.Errorf("got %+v", b.hardening)
			}
			if b.confined != c.confined || b.gateway().Spec.Confine != c.confined || b.command().Spec.Confine || b.worker().Spec.Confine {
				t.Errorf("confined %v, gateway %v, command %v, worker %v", b.confined, b.gateway().Spec.Confine, b.command().Spec.Confine, b.worker().Spec.Confine)
			}
			for i, s := range b.sidecars() { // the first has the gateway's user
				if want := c.confined && !c.rootless && i == 0; s.Spec.Confine != want {
					t.Errorf("sidecar %d of uid %d: confined %v", i, s.UID, s.Spec.Confine)
				}
			}
		})
	}
}
