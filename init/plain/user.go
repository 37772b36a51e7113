// SPDX-License-Identifier: Apache-2.0

package plain

import (
	"fmt"
	"os"
	"strings"

	"github.com/gateway-init/gateway-init/init/plain/vfork"
	"github.com/gateway-init/gateway-init/internal/environ"
	"github.com/gateway-init/gateway-init/internal/sys"
	"github.com/gateway-init/gateway-init/internal/users"
)

// giveStdio lets the user open the container's terminal and pipes again, by /dev/stdout and
// /dev/stderr, as the engine does for the user of docker run --user. It does so only where
// they are the container's, which is as PID 1 or below another init: elsewhere they belong
// to a caller who goes on. Without CAP_CHOWN the user can use but not open them.
func (p *initProcess) giveStdio(uid uint32) {
	if os.Getpid() != 1 && !isBelowInit() {
		return
	}
	for fd := range 3 {
		if err := sys.GiveStdio(fd, uid); err != nil {
			p.say(2, "info", "the user cannot open descriptor %d again: %v", fd, err)
		}
	}
}

// become makes the command run as the user of --user, with its ids, its groups from
// /etc/group and its HOME. The environment is otherwise the caller's.
func (p *initProcess) become(c *vfork.Child) error {
	db, err := users.LoadLenient()
	if err != nil {
		return err
	}
	u, err := db.Lenient(p.User, users.IDs{UID: uint32(os.Getuid()), GID: uint32(os.Getgid())})
	if err != nil {
		return fmt.Errorf("--user: %w", err)
	}
	p.giveStdio(u.UID)
	// An engine that starts us as that user (runAsUser) leaves nothing to step down
	// from, and no right to change the groups that it gave. A group that --user names
	// must be ours already.
	named := strings.Contains(p.User, ":")
	c.User = &vfork.Identity{UID: u.UID, GID: u.GID, Groups: u.Groups,
		Ours: sys.OnlyUID(u.UID) && (!named || uint32(os.Getgid()) == u.GID)}
	if lost := users.Lost(db.EngineGroups(), u); lost != "" && !c.User.Ours {
		p.say(1, "warning", "the command does not get the engine's groups %s: --user takes its groups from /etc/group", lost)
	}
	// os.Environ has one entry per name. An entry that is no assignment passes, too.
	c.Env = environ.Inherited(u, c.Env, "")
	return nil
}
