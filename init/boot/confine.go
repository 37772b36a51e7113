// SPDX-License-Identifier: Apache-2.0

package boot

import (
	"fmt"

	"github.com/gateway-init/gateway-init/internal/config"
	"github.com/gateway-init/gateway-init/internal/confine"
)

// confine finds out whether gateway.confine can be carried out, and records a gateway
// without the rule. This comes before the first launch and after no_new_privs, which the
// kernel demands. If the kernel cannot have the rule, no launch tries it. Without root
// nothing is open unless the rule was asked for, because all users are one.
func (b *bootstrap) confine() {
	if b.settings.noGateway {
		return
	}
	asked, missing := b.cfg.Gateway.Confine == config.ConfineProc, ""
	if asked {
		missing = b.tryConfine()
	}
	if missing != "" {
		b.hardening.add("gateway-not-confined", missing)
	}
	if missing != "" || !asked && !b.rootless {
		b.hardening.add("environment-open-in-children", `a child of the gateway inherits its environment, and mostly has a program that its user can read: only gateway.confine "proc" closes it`)
	}
}

// tryConfine prepares the rule for every launch, and returns what the rule does not close
// and why, or "".
func (b *bootstrap) tryConfine() (missing string) {
	err := confine.Check()
	if err == nil {
		err = confine.Hold()
	}
	if err != nil {
		return fmt.Sprintf("gateway.confine cannot be carried out: %v", err)
	}
	b.confined = true
	switch other, err := confine.OtherProc(); {
	case err != nil:
		return fmt.Sprintf("cannot tell whether gateway.confine closes every procfs: %v", err)
	case other != "":
		return fmt.Sprintf("gateway.confine closes /proc, and procfs is mounted at %s, too: start the container without that mount", other)
	}
	return ""
}

// confinesSidecar reports whether a sidecar with that uid gets the rule. One of the
// gateway's user could read the environments of the gateway's children for it. Without
// root all users are one, and the sidecar may be the agent's.
func (b *bootstrap) confinesSidecar(uid uint32) bool {
	return b.confined && !b.rootless && uid == b.users.gateway.UID
}
