// SPDX-License-Identifier: Apache-2.0

package runtimedir

import (
	"errors"
	"io/fs"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/gateway-init/gateway-init/internal/fsafe"
	"github.com/gateway-init/gateway-init/internal/testenv"
)

func TestOwnPlaces(t *testing.T) {
	for xdg, want := range map[string][]string{
		"":               {"/dev/shm/gateway-init-4242"},
		"relative":       {"/dev/shm/gateway-init-4242"},
		"/run/user/4242": {"/run/user/4242/gateway-init", "/dev/shm/gateway-init-4242"},
		"/run/../x/":     {"/x/gateway-init", "/dev/shm/gateway-init-4242"},
	} {
		if got := Own(xdg, 4242); !slices.Equal(got, want) {
			t.Errorf("%q: got %q, want %q", xdg, got, want)
		}
	}
}

// TestOpenOwn checks that without root the directory is closed to all others,
// whichever user made its parent, and that another user's is never taken.
func TestOpenOwn(t *testing.T) {
	const me = testenv.Gateway
	at := func(name string, uid int, mode fs.FileMode) error {
		return errors.Join(os.Mkdir(name, 0o700), os.Chmod(name, mode), os.Chown(name, uid, uid))
	}
	for name, c := range map[string]struct {
		prepare func() error
		places  []string
		want    string // "": refused
		says    string
	}{
		"sticky":           {nil, []string{"/mnt/tmp/x"}, "/mnt/tmp/x", ""},
		"own-parent":       {func() error { return at("/mnt/mine", me, 0o700) }, []string{"/mnt/mine/x"}, "/mnt/mine/x", ""},
		"there-too-open":   {func() error { return at("/mnt/tmp/x", me, 0o755) }, []string{"/mnt/tmp/x"}, "/mnt/tmp/x", ""},
		"parent-missing":   {nil, []string{"/mnt/nowhere/x", "/mnt/tmp/x"}, "/mnt/tmp/x", ""},
		"first-on-disk":    {nil, []string{"/mnt/disk/proc/x", "/mnt/tmp/x"}, "/mnt/tmp/x", ""},
		"squatted":         {func() error { return at("/mnt/tmp/x", testenv.Stranger, 0o700) }, []string{"/mnt/tmp/x"}, "", "/mnt/tmp/x: permission denied"},
		"root's":           {func() error { return at("/mnt/tmp/x", 0, 0o755) }, []string{"/mnt/tmp/x"}, "", "is owned by uid 0"},
		"others-can-write": {func() error { return at("/mnt/tmp/x", me, 0o777) }, []string{"/mnt/tmp/x"}, "", "writable by others"},
		"stranger's-place": {nil, []string{"/mnt/theirsticky/x"}, "", "is owned by"},
		"not-first-unsafe": {func() error { return at("/mnt/tmp/x", testenv.Stranger, 0o700) }, []string{"/mnt/tmp/x", "/mnt/run/x"}, "", "/mnt/tmp/x: permission denied"},
		"only-on-disk":     {nil, []string{"/mnt/disk/proc/x"}, "", "run with --tmpfs /mnt/disk/proc:uid=54321,mode=0700"},
		"only-missing":     {nil, []string{"/mnt/nowhere/x"}, "", "run with --tmpfs /mnt/nowhere:uid=54321"},
		"neither":          {nil, []string{"/mnt/disk/proc/x", "/mnt/disk/proc/y"}, "", "uid=54321,mode=0700"},
	} {
		t.Run(name, func(t *testing.T) {
			if !testenv.Inside(t, unix.CLONE_NEWNS) {
				return
			}
			container(t)
			if c.prepare != nil {
				testenv.Must(t, c.prepare())
			}
			testenv.Must(t, errors.Join(syscall.Setgroups(nil), syscall.Setgid(me), syscall.Setuid(me)))
			d, err := OpenOwn(c.places, me, true)
			if c.want == "" {
				if err == nil || !strings.Contains(err.Error(), c.says) {
					t.Errorf("got %v, %v; want an error that says %q", d, err, c.says)
				}
				return
			}
			testenv.Must(t, err)
			defer d.File.Close()
			i, err := fsafe.Stat(d.File)
			testenv.Must(t, err)
			if d.Path != c.want || i.Mode != 0o700 || i.UID != me {
				t.Errorf("got %s, %+v", d.Path, i)
			}
		})
	}
}
