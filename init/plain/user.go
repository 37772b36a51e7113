// SPDX-License-Identifier: Apache-2.0

package plain

import (
	"errors"
	"fmt"
	"io/fs"

	"github.com/gateway-init/gateway-init/init/plain/vfork"
	"github.com/gateway-init/gateway-init/internal/environ"
	"github.com/gateway-init/gateway-init/internal/users"
)

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
	c.User = &vfork.Identity{UID: u.UID, GID: u.GID, Groups: u.Groups}
	// os.Environ has one entry per name. An entry that is no assignment passes, too.
	c.Env = environ.Inherited(u, c.Env, "")
	return nil
}
