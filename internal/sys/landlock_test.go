// SPDX-License-Identifier: Apache-2.0

package sys

import (
	"errors"
	"io/fs"
	"os"
	"runtime"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/gateway-init/gateway-init/internal/testenv"
)

// TestLandlock checks that a ruleset in force closes what no rule allows, and nothing that
// it does not handle. A rule on a symbolic link allows nothing behind the link.
func TestLandlock(t *testing.T) {
	if !testenv.Inside(t, 0) {
		return
	}
	runtime.LockOSThread() // it holds for this thread
	dir := t.TempDir()
	for _, name := range []string{"open", "closed"} {
		testenv.Must(t, errors.Join(os.Mkdir(dir+"/"+name, 0o700), os.WriteFile(dir+"/"+name+"/file", []byte(name), 0o600)))
	}
	testenv.Must(t, os.Symlink("closed", dir+"/link"))
	if abi, err := LandlockABI(); abi < 1 || err != nil {
		t.Fatalf("Landlock has ABI %d, %v", abi, err)
	}
	ruleset, err := LandlockRuleset(LandlockReadFile)
	testenv.Must(t, errors.Join(err, LandlockAllow(ruleset, dir+"/open", LandlockReadFile), LandlockAllow(ruleset, dir+"/link", LandlockReadFile)))
	if err := LandlockAllow(ruleset, dir+"/nowhere", LandlockReadFile); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a rule on nothing: %v", err)
	}
	if err := LandlockAllow(ruleset, dir, LandlockRefer); !errors.Is(err, unix.EINVAL) {
		t.Errorf("a rule on a right that is not handled: %v", err)
	}
	testenv.Must(t, NoNewPrivs())
	if err := LandlockRestrict(-1); !errors.Is(err, unix.EBADF) {
		t.Errorf("no ruleset: %v", err)
	}
	testenv.Must(t, LandlockRestrict(ruleset))
	Close(ruleset)
	for name, closed := range map[string]bool{"open": false, "closed": true, "link": true} {
		if _, err := os.ReadFile(dir + "/" + name + "/file"); errors.Is(err, fs.ErrPermission) != closed || !closed && err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if err := os.WriteFile(dir+"/"+name+"/file", nil, 0o600); err != nil {
			t.Errorf("writing is not handled, and %s: %v", name, err)
		}
	}
}

// TestLandlockNeedsNoNewPrivs checks the kernel's condition, which boot relies on to find
// out whether a launch can have a rule.
func TestLandlockNeedsNoNewPrivs(t *testing.T) {
	if !testenv.Inside(t, 0) {
		return
	}
	testenv.Must(t, SetCaps(0)) // with CAP_SYS_ADMIN there is no condition
	if err := LandlockRestrict(-1); !errors.Is(err, unix.EPERM) {
		t.Errorf("got %v", err)
	}
}

// TestLandlockRefused checks the errors of a kernel without Landlock, and of a seccomp
// profile without it.
func TestLandlockRefused(t *testing.T) {
	if !testenv.Inside(t, 0) {
		return
	}
	testenv.Refuse(t, unix.ENOSYS, unix.SYS_LANDLOCK_CREATE_RULESET, unix.SYS_LANDLOCK_ADD_RULE, unix.SYS_LANDLOCK_RESTRICT_SELF)
	_, abi := LandlockABI()
	_, ruleset := LandlockRuleset(LandlockReadFile)
	for name, err := range map[string]error{"abi": abi, "ruleset": ruleset, "rule": LandlockAllow(-1, "/", LandlockReadFile), "restrict": LandlockRestrict(-1)} {
		if !errors.Is(err, unix.ENOSYS) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
