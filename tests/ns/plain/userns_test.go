// SPDX-License-Identifier: Apache-2.0

package plain

import (
	"os"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/gateway-init/gateway-init/internal/testenv"
)

// TestUnmappedUserIsNamed checks that a user that the user namespace does not map ends
// gateway-init with one line that says so, in both modes. An engine without root maps as
// few ids as /etc/subuid of the host gives it.
func TestUnmappedUserIsNamed(t *testing.T) {
	dir, err := os.MkdirTemp("/var", "userns") // t.TempDir is below a sticky directory
	testenv.Must(t, err)
	t.Cleanup(func() { os.RemoveAll(dir) })
	testenv.Must(t, os.Chmod(dir, 0o755))
	config := dir + "/config.json"
	testenv.Must(t, os.WriteFile(config, []byte(`{"gateway": {"command": ["/bin/true"], "user": "21:21"}, "sandbox": {"user": "22:22"}, "operator": {"user": "1023:1023"}}`), 0o644))
	plain := func(user string) []string { return []string{"--user", user, "--", "echo", "ran"} }
	gateway := []string{"--config", config, "echo", "ran"}
	for name, c := range map[string]struct {
		uids, gids int
		deny       bool
		args       []string
		want       string
	}{
		"plain-mapped":      {1000, 1000, false, plain("999:999"), ""},
		"plain-no-uid":      {1000, 2000, false, plain("1000:999"), "has no uid 1000"},
		"plain-no-gid":      {1000, 500, false, plain("999:999"), "has no gid 999"},
		"plain-one-id":      {1, 1, true, plain("999:999"), "has no uid 999"},
		"plain-denied":      {1000, 1000, true, plain("999:999"), "forbids setgroups"},
		"gateway-no-uid":    {1000, 2000, false, gateway, "has no uid 1023"},
		"gateway-no-gid":    {2000, 1000, false, gateway, "has no gid 1023"},
		"gateway-one-id":    {1, 1, true, gateway, "has no uid 21"},
		"gateway-forbidden": {2000, 2000, true, gateway, "forbids setgroups"},
	} {
		t.Run(name, func(t *testing.T) {
			r := start(t, how{before: []string{"sh", "-c", `mount -t proc none /proc && exec "$0" "$@"`}, sys: func(a *syscall.SysProcAttr) {
				a.Cloneflags |= unix.CLONE_NEWUSER | unix.CLONE_NEWNS
				a.UidMappings = []syscall.SysProcIDMap{{Size: c.uids}}
				a.GidMappings = []syscall.SysProcIDMap{{Size: c.gids}}
				a.GidMappingsEnableSetgroups = !c.deny
			}}, c.args...)
			code, said := r.ended(), r.stderr()
			switch {
			case c.want == "" && (code != 0 || r.stdout() != "ran\n"):
				t.Errorf("exit code %d: %s%s", code, r.stdout(), said)
			case c.want != "" && (code != 1 || strings.Count(said, "\n") != 1 || !strings.Contains(said, "the user namespace "+c.want) || strings.Contains(r.stdout(), "ran")):
				t.Errorf("exit code %d, want %q: %s", code, c.want, said)
			}
		})
	}
}
