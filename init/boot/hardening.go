// SPDX-License-Identifier: Apache-2.0

package boot

import (
	"fmt"

	"golang.org/x/sys/unix"

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
func (h *hardening) engine(before privs.State, keep uint64) {
	flags := "--cap-drop ALL"
	if keep != 0 {
		keep |= 1 << unix.CAP_SETPCAP
		flags += " and the five --cap-add of the README"
	}
	if extra := before.Bounding &^ keep; extra != 0 {
		h.add("engine-capabilities", fmt.Sprintf("docker exec gets capabilities beyond the needed ones (%016x): run with %s", extra, flags))
	}
	if !before.NoNewPrivs {
		h.add("engine-no-new-privs", "a setuid program works in docker exec: run with --security-opt no-new-privileges")
	}
	if !sys.ReadOnly("/") {
		h.add("rootfs-writable", "files of the image can be changed at run time: run with --read-only")
	}
	if _, bounded := sys.ReadPids(); !bounded {
		h.add("pids-limit", "a fork bomb of the agent reaches the host: run with --pids-limit 512")
	}
}

func caps(s privs.State) status.Caps {
	hex := func(v uint64) string { return fmt.Sprintf("%016x", v) }
	return status.Caps{
		Inheritable: hex(s.Inheritable), Permitted: hex(s.Permitted), Effective: hex(s.Effective),
		Bounding: hex(s.Bounding), Ambient: hex(s.Ambient),
		NoNewPrivs: s.NoNewPrivs, Dumpable: s.Dumpable, Threads: s.Threads,
	}
}
