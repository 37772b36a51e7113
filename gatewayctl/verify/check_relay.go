// SPDX-License-Identifier: Apache-2.0

package verify

import (
	"slices"
	"strconv"
	"strings"

	"github.com/gateway-init/gateway-init/internal/users"
)

// checkRelay checks the program through which tokens pass if a port is published, and that
// its user is no other role's. If the relay's user could read the program, the kernel would
// not close the process to that user.
func checkRelay(s *inspection) checkResult {
	switch {
	case s.config == nil:
		return resultUnavailable("see config")
	case s.config.Publish == nil || s.config.Gateway.PassFD:
		return resultNotApplicable("no port is published through a relay")
	}
	v := s.plain(relayPath, s.options.initModes()...)
	if v.result == Failed || s.options.NonRoot {
		return v
	}
	if s.usersErr != nil {
		return resultUnavailable("see users")
	}
	spec := s.config.RelayUser
	name, _, _ := strings.Cut(spec, ":")
	uid, err := strconv.ParseUint(name, 10, 31)
	if i := slices.IndexFunc(s.accounts, func(a account) bool { return a.name == name }); i >= 0 {
		uid, err = uint64(s.accounts[i].uid), nil
	}
	if err != nil {
		return resultFailed("%s has no line for %q of relay.user: add one", passwdPath, name)
	}
	if i := slices.IndexFunc(s.users[:], func(u users.User) bool { return uint64(u.UID) == uid }); i >= 0 || uid == 0 {
		return resultFailed("relay.user %q is uid %d, which is another role's: give the relay a user of its own", spec, uid)
	}
	return resultHeld("%s, mode 0711, as uid %d", relayPath, uid)
}
