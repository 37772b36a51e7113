// SPDX-License-Identifier: Apache-2.0

package confine

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"syscall"

	"github.com/moby/sys/mountinfo"

	"github.com/gateway-init/gateway-init/internal/sys"
)

// leastABI is the first version of Landlock that can allow a rename from one directory to
// another. A process with a rule of ABI 1 cannot make one.
const leastABI = 2

// Check returns an error if the calling process could not put the rule into force. It makes
// each kind of call that Restrict makes, so that no launch is the first to meet a kernel or
// a seccomp profile that refuses one. The caller has set no_new_privs.
func Check() error {
	abi, err := sys.LandlockABI()
	if err == nil {
		if err := checkABI(abi); err != nil {
			return err
		}
		err = tryRuleset()
	}
	if err == nil {
		if err = sys.LandlockRestrict(-1); errors.Is(err, syscall.EBADF) {
			return nil
		}
	}
	return fmt.Errorf("%w: %s", err, remedy(err))
}

// checkABI refuses a version of Landlock that would break the target.
func checkABI(abi int) error {
	if abi < leastABI {
		return fmt.Errorf("the kernel's Landlock (ABI %d) refuses each rename from one directory to another: use a host with Linux 5.19 or newer", abi)
	}
	return nil
}

// tryRuleset makes a ruleset with one rule, and closes it.
func tryRuleset() error {
	ruleset, err := sys.LandlockRuleset(handled)
	if err != nil {
		return err
	}
	defer sys.Close(ruleset)
	return sys.LandlockAllow(ruleset, "/", sys.LandlockRefer)
}

// remedy says what the operator can do about an error of Landlock.
func remedy(err error) string {
	switch {
	case errors.Is(err, syscall.ENOSYS):
		return "the kernel or the runtime has no Landlock: use a host with Linux 5.19 or newer that has it (CONFIG_SECURITY_LANDLOCK)"
	case errors.Is(err, syscall.EOPNOTSUPP):
		return "Landlock is off: start the host's kernel with landlock in its list lsm="
	case errors.Is(err, syscall.EPERM):
		return "the engine refuses Landlock: permit landlock_create_ruleset, landlock_add_rule and landlock_restrict_self in its seccomp profile, and no_new_privs"
	}
	return "report it"
}

// OtherProc returns the mount point of a procfs that is neither /proc nor below it, or "".
// The rule allows reading there.
func OtherProc() (string, error) {
	mounts, err := sys.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return "", fmt.Errorf("cannot read mounts: %w", err)
	}
	found := ""
	_, err = mountinfo.GetMountsFromReader(bytes.NewReader(mounts), func(m *mountinfo.Info) (skip, stop bool) {
		if m.FSType == "proc" && !strings.HasPrefix(m.Mountpoint+"/", "/proc/") {
			found = m.Mountpoint
		}
		return true, found != ""
	})
	if err != nil {
		return "", fmt.Errorf("cannot read mounts: %w", err)
	}
	return found, nil
}
