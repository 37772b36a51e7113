// SPDX-License-Identifier: Apache-2.0

package boot

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gateway-init/gateway-init/internal/config"
	"github.com/gateway-init/gateway-init/internal/fsafe"
	"github.com/gateway-init/gateway-init/internal/testenv"
	"github.com/gateway-init/gateway-init/internal/users"
)

// TestValidate checks that a child that may have the token runs no program, and no
// script, that another user can change.
func TestValidate(t *testing.T) {
	testenv.Root(t)
	dir, err := os.MkdirTemp("/var", "validate") // t.TempDir is below a sticky directory
	testenv.Must(t, err)
	t.Cleanup(func() { os.RemoveAll(dir) })
	testenv.Must(t, os.Chmod(dir, 0o755))
	file := func(name string, mode os.FileMode, uid uint32) string {
		path := filepath.Join(dir, name)
		testenv.Must(t, errors.Join(os.WriteFile(path, nil, mode), os.Chmod(path, mode), os.Chown(path, int(uid), int(uid))))
		return path
	}
	gateway, operator, agent := gatewayUser, users.User{UID: 9003}, users.User{UID: 9002}
	program, script := file("node", 0o711, 0), file("gateway.mjs", 0o644, 0)
	planted, own := file("planted.mjs", 0o644, agent.UID), file("own.mjs", 0o644, operator.UID)
	missing := filepath.Join(dir, "missing.mjs")
	for name, c := range map[string]struct {
		gateway []string
		sidecar []string
		user    users.User
		bad     string
	}{
		"good":                      {[]string{program, script, "run"}, []string{program, script}, operator, ""},
		"planted-script":            {[]string{program, planted}, nil, agent, planted},
		"planted-further-on":        {[]string{program, script, "--import", planted}, nil, agent, planted},
		"missing-script":            {[]string{program, missing}, []string{program, missing}, operator, ""},
		"operator's-planted":        {[]string{program}, []string{program, planted}, operator, planted},
		"operator's-program":        {[]string{program}, []string{planted}, operator, planted},
		"operator's-missing":        {[]string{program}, []string{missing}, operator, ""},
		"operator's-own":            {[]string{program}, []string{program, own}, operator, ""},
		"gateway's-sidecar-planted": {[]string{program}, []string{program, planted}, gateway, planted},
		"operator's-for-gateway":    {[]string{program, own}, nil, agent, own},
		"agent's-own":               {[]string{program}, []string{program, planted}, agent, ""},
	} {
		t.Run(name, func(t *testing.T) {
			b := &bootstrap{cfg: &config.Config{Gateway: config.Gateway{Command: c.gateway}},
				users: identities{gateway: gateway, operator: operator, sandbox: agent}}
			if c.sidecar != nil {
				b.cfg.Sidecars, b.users.sidecars = []config.Sidecar{{Command: c.sidecar}}, []users.User{c.user}
			}
			err := b.validate()
			if c.bad == "" && err != nil || c.bad != "" && (!errors.Is(err, fsafe.ErrUnsafe) || !strings.Contains(err.Error(), c.bad)) {
				t.Errorf("got %v, want %q", err, c.bad)
			}
		})
	}
	b := &bootstrap{cfg: &config.Config{Gateway: config.Gateway{Command: []string{missing}}}, users: identities{gateway: gateway}}
	if err := b.validate(); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a missing gateway: %v", err)
	}
}
