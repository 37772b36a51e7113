// SPDX-License-Identifier: Apache-2.0

package plain

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

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
	if os.Getpid() != 1 && os.Getppid() != 1 {
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
	db, err := users.Load()
	if errors.Is(err, fs.ErrNotExist) { // an image without users: numbers are enough
		db, err = &users.Database{}, nil
	}
	if err != nil {
		return err
	}
	u, err := db.Resolve(p.User)
	if err != nil {
		return fmt.Errorf("--user: %w", err)
	}
	p.giveStdio(u.UID)
	c.User = &vfork.Identity{UID: u.UID, GID: u.GID, Groups: u.Groups}
	c.Env = environ.Inherited(u, environ.Clean(c.Env), "")
	return nil
}
