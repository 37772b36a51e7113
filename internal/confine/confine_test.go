// SPDX-License-Identifier: Apache-2.0

package confine

import (
	"errors"
	"os"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/gateway-init/gateway-init/internal/sys"
	"github.com/gateway-init/gateway-init/internal/testenv"
)

// TestCheckSaysWhy checks that each kernel or seccomp profile that cannot have the rule is
// found before a launch, and that the message says what to change.
func TestCheckSaysWhy(t *testing.T) {
	create, rule, restrict := uint32(unix.SYS_LANDLOCK_CREATE_RULESET), uint32(unix.SYS_LANDLOCK_ADD_RULE), uint32(unix.SYS_LANDLOCK_RESTRICT_SELF)
	for name, c := range map[string]struct {
		refuse uint32
		errno  syscall.Errno
		says   string
	}{
		"possible":            {0, 0, ""},
		"no-landlock":         {create, unix.ENOSYS, "landlock_create_ruleset: function not implemented: the kernel or the runtime has no Landlock: use a host with Linux 5.19"},
		"off":                 {create, unix.EOPNOTSUPP, "operation not supported: Landlock is off: start the host's kernel with landlock in its list lsm="},
		"seccomp":             {create, unix.EPERM, "landlock_create_ruleset: operation not permitted: the engine refuses Landlock: permit"},
		"seccomp-of-a-rule":   {rule, unix.EPERM, "landlock_add_rule: operation not permitted: the engine refuses Landlock"},
		"seccomp-of-the-last": {restrict, unix.EPERM, "landlock_restrict_self: operation not permitted: the engine refuses Landlock"},
		"unknown":             {rule, unix.EIO, "landlock_add_rule: input/output error: report it"},
	} {
		t.Run(name, func(t *testing.T) {
			if !testenv.Inside(t, 0) {
				return
			}
			testenv.Must(t, sys.NoNewPrivs())
			if c.refuse != 0 {
				testenv.Refuse(t, c.errno, c.refuse)
			}
			err := Check()
			if (err == nil) != (c.says == "") || err != nil && !strings.Contains(err.Error(), c.says) {
				t.Errorf("got %v, want %q", err, c.says)
			}
		})
	}
	t.Run("without-no-new-privs", func(t *testing.T) {
		if !testenv.Inside(t, 0) {
			return
		}
		testenv.Must(t, sys.SetCaps(0)) // CAP_SYS_ADMIN would do, too
		if err := Check(); !errors.Is(err, unix.EPERM) || !strings.Contains(err.Error(), "and no_new_privs") {
			t.Errorf("got %v", err)
		}
	})
	if err := checkABI(1); err == nil || !strings.Contains(err.Error(), "(ABI 1) refuses each rename") {
		t.Errorf("the first ABI: %v", err)
	}
	if err := checkABI(2); err != nil {
		t.Error(err)
	}
}

// TestRestrict checks what the rule closes and what it leaves open, for files of every
// kind of mount: directly in /, on another file system, in /proc and below it.
func TestRestrict(t *testing.T) {
	if !testenv.Inside(t, unix.CLONE_NEWPID) {
		return
	}
	runtime.LockOSThread() // the rule holds for this thread
	dir := t.TempDir()
	testenv.Must(t, errors.Join(os.WriteFile(dir+"/file", nil, 0o600), unix.Mount("tmpfs", "/mnt", "tmpfs", 0, ""), os.WriteFile("/mnt/file", nil, 0o600)))
	testenv.Must(t, sys.NoNewPrivs())
	testenv.Must(t, Restrict())
	for name, open := range map[string]bool{
		dir + "/file": true, "/mnt/file": true, "/etc/passwd": true, "/dev/null": true, "/sys/devices/system/cpu/online": true,
		"/proc/self/stat": true, "/proc/thread-self/stat": true, "/proc/meminfo": true, "/proc/sys/kernel/osrelease": true,
		"/proc/self/root/etc/passwd": true, "/proc/vmstat": false, "/proc/cmdline": false,
	} {
		f, err := os.Open(name)
		if err == nil {
			f.Close()
		}
		if (err == nil) != open || !open && !errors.Is(err, unix.EACCES) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := os.Rename("/mnt/file", "/mnt/other"); err != nil {
		t.Error(err)
	}
	if err := errors.Join(os.Mkdir("/mnt/d", 0o700), os.Rename("/mnt/other", "/mnt/d/file")); err != nil {
		t.Error(err)
	}
	if err := unix.Mount("proc", "/mnt/d", "proc", 0, ""); !errors.Is(err, unix.EPERM) {
		t.Errorf("a confined process mounts procfs: %v", err)
	}
}

// TestShortageClosesNothing checks that a launch that lacks a descriptor fails. A path that
// is gone or broken is only left out.
func TestShortageClosesNothing(t *testing.T) {
	if !testenv.Inside(t, 0) {
		return
	}
	ruleset, err := sys.LandlockRuleset(handled)
	testenv.Must(t, err)
	if err := allowReading(ruleset, "/nowhere"); err != nil {
		t.Errorf("a path that is gone: %v", err)
	}
	if err := allowReading(-1, "/etc"); !errors.Is(err, unix.EBADF) {
		t.Errorf("a rule that is refused: %v", err)
	}
	testenv.Must(t, unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: 0, Max: 4096}))
	if err := allowReading(ruleset, "/etc"); !errors.Is(err, unix.EMFILE) {
		t.Errorf("no descriptor for a path: %v", err)
	}
	if err := Restrict(); !errors.Is(err, unix.EMFILE) {
		t.Errorf("no descriptor for the ruleset: %v", err)
	}
	if err := Hold(); !errors.Is(err, unix.EMFILE) {
		t.Errorf("no descriptor to hold: %v", err)
	}
	if _, err := HoldProcess(os.Getpid()); !errors.Is(err, unix.EMFILE) {
		t.Errorf("no descriptor for a process: %v", err)
	}
}

// TestOtherProc checks that each procfs that the rule leaves open is found.
func TestOtherProc(t *testing.T) {
	if !testenv.Inside(t, unix.CLONE_NEWNS) {
		return
	}
	dir := t.TempDir()
	if got, err := OtherProc(); got != "" || err != nil {
		t.Fatalf("got %q, %v", got, err)
	}
	testenv.Must(t, unix.Mount("/proc/sys", "/proc/sys", "", unix.MS_BIND, "")) // as engines do
	if got, err := OtherProc(); got != "" || err != nil {
		t.Errorf("below /proc: %q, %v", got, err)
	}
	testenv.Must(t, unix.Mount("/proc", dir, "", unix.MS_BIND, ""))
	if got, err := OtherProc(); got != dir || err != nil {
		t.Errorf("bound to %s: %q, %v", dir, got, err)
	}
	testenv.Must(t, unix.Unmount(dir, 0))
	testenv.Must(t, unix.Mount("proc", dir, "proc", 0, "subset=pid"))
	if got, err := OtherProc(); got != dir || err != nil {
		t.Errorf("a fresh one: %q, %v", got, err)
	}
	testenv.Must(t, unix.Unmount(dir, 0))
	testenv.Must(t, unix.Mount("tmpfs", "/proc", "tmpfs", 0, ""))
	if _, err := OtherProc(); err == nil {
		t.Error("without /proc there is no error")
	}
}
