// SPDX-License-Identifier: Apache-2.0

package boot

import (
	"fmt"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/gateway-init/gateway-init/internal/advice"
	"github.com/gateway-init/gateway-init/internal/privs"
	"github.com/gateway-init/gateway-init/internal/status"
	"github.com/gateway-init/gateway-init/internal/sys"
)

// hardening lists the protections that the container was started without.
type hardening []status.Hardening

func (h *hardening) add(name, detail string) {
	for _, have := range *h {
		if have.Name == name {
			return
		}
	}
	*h = append(*h, status.Hardening{Name: name, Detail: detail})
}

// engine records the protections that the engine did not give us, before anything is
// dropped. PID 1 can give up its own rights, but a later docker exec gets the
// engine's rights again. The README's commands grant keep and, to empty the
// bounding set, SETPCAP. Without root they grant nothing.
func (h *hardening) engine(before privs.State, keep uint64, bounded bool) {
	var needed []string
	if keep != 0 {
		needed = append(privs.Names(keep), "SETPCAP")
		keep |= 1 << unix.CAP_SETPCAP
	}
	if extra := before.Bounding &^ keep; extra != 0 {
		h.add("engine-capabilities", fmt.Sprintf("docker exec gets capabilities beyond the needed ones (%016x): %s", extra, advice.CapDrop(needed...)))
	}
	if !before.NoNewPrivs {
		h.add("engine-no-new-privs", "a setuid program works in docker exec: "+advice.NoNewPrivs())
	}
	if !sys.ReadOnly("/") {
		h.add("rootfs-writable", "files of the image can be changed at run time: "+advice.ReadOnly())
	}
	if !bounded {
		h.add("pids-limit", "a fork bomb of the agent reaches the host: "+advice.PIDs(512))
	}
}

// checkGranted refuses a root that can start nothing as another user. It names all that
// the engine would have to add.
func checkGranted(s privs.State) error {
	const start = 1<<unix.CAP_SETGID | 1<<unix.CAP_SETUID
	if s.Effective&start == start {
		return nil
	}
	return fmt.Errorf("cannot start a process as another user: %s not granted: %s",
		strings.Join(privs.Names(start&^s.Effective), " and "), advice.CapAdd(privs.Names(privs.Needed&^s.Effective)...))
}

func caps(s privs.State) status.Caps {
	hex := func(v uint64) string { return fmt.Sprintf("%016x", v) }
	return status.Caps{
		Inheritable: hex(s.Inheritable), Permitted: hex(s.Permitted), Effective: hex(s.Effective),
		Bounding: hex(s.Bounding), Ambient: hex(s.Ambient),
		NoNewPrivs: s.NoNewPrivs, Dumpable: s.Dumpable, Threads: s.Threads,
	}
}
