package boot

import (
	"errors"
	"os"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"gatewayinit/internal/config"
	"gatewayinit/internal/environ"
	"gatewayinit/internal/testenv"
	"gatewayinit/internal/users"
)

// A second gateway-init in a living one's directory ends before it touches
// anything there.
func TestRuntimeIsTaken(t *testing.T) {
	for name, rootless := range map[string]bool{"root": false, "no-root": true} {
		t.Run(name, func(t *testing.T) {
			if !testenv.Inside(t, unix.CLONE_NEWNS) {
				return
			}
			testenv.Must(t, unix.Mount("none", "/mnt", "tmpfs", 0, "mode=1777"))
			user := users.User{UID: testenv.Gateway, GID: testenv.Gateway}
			b := &booter{rootless: rootless, who: identities{gateway: user}, env: environ.List{"XDG_RUNTIME_DIR=/mnt"},
				cfg: &config.Config{RuntimeDir: "/mnt/gateway-init", RequireTmpfs: true}}
			if rootless {
				testenv.Must(t, errors.Join(syscall.Setgroups(nil), syscall.Setgid(testenv.Gateway), syscall.Setuid(testenv.Gateway)))
			}
			dir, err := b.openRuntime()
			testenv.Must(t, err)
			testenv.Must(t, os.WriteFile(dir.Path+"/"+tokenName, []byte("x"), 0o400))
			if _, err := b.openRuntime(); err == nil || !strings.Contains(err.Error(), "another gateway-init runs in /mnt/gateway-init") {
				t.Errorf("a second one: %v", err)
			}
			if text := content(t, dir, tokenName); text != "x" {
				t.Errorf("the token is %q", text)
			}
		})
	}
}
