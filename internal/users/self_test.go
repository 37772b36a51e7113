// SPDX-License-Identifier: Apache-2.0

package users

import (
	"os"
	"slices"
	"strconv"
	"syscall"
	"testing"

	"github.com/gateway-init/gateway-init/internal/testenv"
)

// TestSelf checks that without root a container starts as any user that the engine
// gives it, even if passwd does not have it, or its home is gone.
func TestSelf(t *testing.T) {
	for name, c := range map[string]struct {
		passwd string
		gid    int
		home   string
		want   User
	}{
		"no-entry":      {"root:x:0:0::/root:/bin/sh\n", 7, "/somewhere", User{Name: "4242", Home: "/somewhere", Shell: "/bin/sh"}},
		"group-root":    {"", 0, "/", User{Name: "4242", Home: "/", Shell: "/bin/sh"}},
		"home-relative": {"", 7, "x", User{Name: "4242", Home: "/", Shell: "/bin/sh"}},
		"entry":         {"agent:x:4242:9::/home/agent:/bin/zsh\n", 7, "/other", User{Name: "agent", Home: "/home/agent", Shell: "/bin/zsh"}},
		"entry-broken":  {"agent:x:4242:nine::/home/agent:/bin/zsh\n", 7, "/other", User{Name: "4242", Home: "/other", Shell: "/bin/sh"}},
		"entry-twice":   {"a:x:4242:9::/a:/bin/a\nb:x:4242:9::/b:/bin/b\n", 7, "/other", User{Name: "4242", Home: "/other", Shell: "/bin/sh"}},
	} {
		t.Run(name, func(t *testing.T) {
			if !testenv.Inside(t, syscall.CLONE_NEWNS) {
				return
			}
			testenv.Must(t, syscall.Mount("none", "/mnt", "tmpfs", 0, "mode=0755"))
			testenv.Must(t, os.WriteFile("/mnt/passwd", []byte(c.passwd), 0o644))
			testenv.Must(t, syscall.Mount("/mnt/passwd", passwdPath, "", syscall.MS_BIND, ""))
			testenv.Must(t, syscall.Setgroups([]int{c.gid, 77}))
			testenv.Must(t, syscall.Setgid(c.gid))
			testenv.Must(t, syscall.Setuid(4242))
			c.want.UID, c.want.GID = 4242, uint32(c.gid)
			got, err := Self(c.home)
			if err != nil || got.Name != c.want.Name || got.UID != c.want.UID || got.GID != c.want.GID || got.Home != c.want.Home || got.Shell != c.want.Shell {
				t.Errorf("got %+v, %v; want %+v", got, err, c.want)
			}
			if !slices.Contains(got.Groups, 77) {
				t.Errorf("groups %v", got.Groups)
			}
		})
	}
	t.Run("setuid", func(t *testing.T) { // another uid would prove nothing about the user that started us
		if !testenv.Inside(t, 0) {
			return
		}
		testenv.Must(t, syscall.Setresuid(4242, 4243, 0))
		if u, err := Self("/"); err == nil {
			t.Errorf("accepted as %+v by uid %s", u, strconv.Itoa(os.Geteuid()))
		}
	})
}
