// SPDX-License-Identifier: Apache-2.0

package token

import (
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/gateway-init/gateway-init/tests/harness"
)

// quits are signals whose default is a core file.
var quits = []os.Signal{syscall.SIGQUIT, syscall.SIGABRT}

// Scenario T05. When the token cannot be read, the message names the path and
// the reason. No URL with an empty token is ever printed.
//
// A helper that could not read the token printed a dashboard address with an empty
// fragment, and reported success.
func TestUnreadableTokenIsExplained(t *testing.T) {
	t.Run("not-running", func(t *testing.T) {
		t.Parallel()
		c := harness.Start(t, harness.Options{
			Extra: []string{"--entrypoint", "/usr/local/bin/demotools"}, Args: []string{"sleep", "600"}})
		checkRefused(t, c, "root", 5, "not-running", "gateway-token")
	})
	t.Run("not-readable", func(t *testing.T) {
		t.Parallel()
		c := harness.Start(t, harness.Options{})
		c.WaitServing(30 * time.Second)
		// A mode keeps out a root without CAP_DAC_OVERRIDE, too.
		if err := os.Chmod(c.HostPath("/run/gateway-init"), 0o600); err != nil {
			t.Fatal(err)
		}
		checkRefused(t, c, "root", 1, "not-readable", "/run/gateway-init")
		if err := os.Chmod(c.HostPath("/run/gateway-init"), 0o700); err != nil {
			t.Fatal(err)
		}
		if out := c.MustCtl("token"); strings.TrimSpace(out) != c.Token() {
			t.Errorf("afterwards: %q", out)
		}
	})
	// With the README's flags the kernel refuses even to execute it for other users.
	t.Run("not-permitted", func(t *testing.T) {
		t.Parallel()
		c := harness.Look(t, "plain", harness.Options{Flags: []string{}})
		for _, user := range []string{"sandbox", "operator", "gateway"} {
			checkRefused(t, c, user, 3, "not-permitted", "docker exec CONTAINER /usr/local/bin/gatewayctl token")
		}
	})
	for reason, spoil := range map[string]func(t *testing.T, path string){
		"empty":     func(t *testing.T, path string) { overwrite(t, path, "") },
		"malformed": func(t *testing.T, path string) { overwrite(t, path, strings.Repeat("Z", 64)) },
		"changed": func(t *testing.T, path string) {
			if err := os.Rename(path, path+".old"); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, []byte(strings.Repeat("a", 64)), 0o400); err != nil {
				t.Fatal(err)
			}
		},
	} {
		t.Run(reason, func(t *testing.T) {
			t.Parallel()
			c := harness.Start(t, harness.Options{})
			c.WaitServing(30 * time.Second)
			if out := c.MustCtl("token", "--url", "http://127.0.0.1:18789/"); strings.TrimSpace(out) != "http://127.0.0.1:18789/#token="+c.Token() {
				t.Fatalf("a good token: %q", out)
			}
			spoil(t, c.HostPath("/run/gateway-init/gateway-token"))
			checkRefused(t, c, "root", 1, reason, "/run/gateway-init/gateway-token")
			// The printed advice works.
			c.MustCtl("restart", "--rotate-token")
			if out := c.MustCtl("token"); strings.TrimSpace(out) != c.Token() || len(c.Token()) != 64 {
				t.Errorf("after the rotation: %q", out)
			}
		})
	}
}

func overwrite(t *testing.T, path, text string) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_TRUNC, 0)
	if err == nil {
		_, err = f.WriteString(text)
		f.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
}

// checkRefused checks that stdout is empty, and that stderr has the reason and the
// path.
func checkRefused(t *testing.T, c *harness.Container, user string, code int, reason, path string) {
	t.Helper()
	for _, args := range [][]string{{"token"}, {"token", "--url", "http://127.0.0.1:18789/"}} {
		r := c.Exec(user, append([]string{"gatewayctl"}, args...)...)
		if r.Code != code || r.Stdout != "" || !strings.Contains(r.Stderr, ": "+reason+": ") || !strings.Contains(r.Stderr, path) {
			t.Errorf("gatewayctl %q as %s: want code %d, %s and %s; got %v", args, user, code, reason, path, r)
		}
	}
}
