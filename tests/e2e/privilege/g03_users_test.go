// SPDX-License-Identifier: Apache-2.0

package privilege

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/gateway-init/gateway-init/tests/harness"
)

// Scenario G03. A missing user, a user with uid 0, and a malformed or huge
// passwd file are refused. There is never a fallback to root.
//
// A library read a malformed line of passwd as uid 0. So the programs of the
// "gateway" user were started as root.
func TestBadUserNeverBecomesRoot(t *testing.T) {
	good := "root:x:0:0::/root:/bin/false\ngateway:x:9001:9001::/var/lib/gateway:/bin/false\n" +
		"sandbox:x:9002:9002::/sandbox:/bin/false\noperator:x:9003:9003::/home/operator:/bin/false\n"
	replace := func(old, with string) string { return strings.Replace(good, old, with, 1) }
	for name, c := range map[string]struct {
		passwd string
		words  []string
	}{
		"missing":       {replace("gateway:x", "other:x"), []string{"gateway"}},
		"uid-zero":      {replace("9001:9001", "0:9001"), []string{"gateway", "is root"}},
		"empty-uid":     {replace("9001:9001", ":9001"), []string{"gateway"}},
		"not-a-number":  {replace("9001:9001", "abc:9001"), []string{"gateway"}},
		"too-high":      {replace("9001:9001", "4294967296:9001"), []string{"gateway"}},
		"negative":      {replace("9001:9001", "-1:9001"), []string{"gateway"}},
		"name-only":     {replace("gateway:x:9001:9001::/var/lib/gateway:/bin/false", "gateway"), []string{"gateway"}},
		"twice":         {good + "gateway:x:9009:9009::/:/bin/false\n", []string{"gateway"}},
		"same-as-agent": {replace("9001:9001", "9002:9002"), []string{"9002"}},
		"empty-file":    {"", []string{"gateway"}},
		"huge":          {good + strings.Repeat("user:x:5000:5000::/:/bin/false\n", 100<<20/31), []string{"passwd"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "passwd")
			if err := os.WriteFile(path, []byte(c.passwd), 0o644); err != nil {
				t.Fatal(err)
			}
			box := harness.Start(t, harness.Options{Extra: []string{"-v", path + ":/etc/passwd:ro"}})
			if code := box.WaitExit(30 * time.Second); code != 2 {
				t.Errorf("exit code %d, want 2", code)
			}
			log := strings.TrimSpace(box.Logs())
			if strings.Contains(log, "\n") || !strings.HasPrefix(log, "gateway-init: ") {
				t.Errorf("not one line: %s", log)
			}
			for _, w := range c.words {
				if !strings.Contains(log, w) {
					t.Errorf("the line does not say %q: %s", w, log)
				}
			}
		})
	}
	t.Run("by-number", func(t *testing.T) {
		t.Parallel()
		box := harness.Start(t, harness.Options{Config: map[string]any{"gateway": map[string]any{"user": "9001:9001"}}})
		if r := box.WaitServing(30 * time.Second); r.Gateway.UID != harness.GatewayUID {
			t.Errorf("the gateway runs as %d", r.Gateway.UID)
		}
	})
	t.Run("root-by-number", func(t *testing.T) {
		t.Parallel()
		box := harness.Start(t, harness.Options{Config: map[string]any{"gateway": map[string]any{"user": "0"}}})
		if code := box.WaitExit(30 * time.Second); code != 2 || !strings.Contains(box.Logs(), "gateway-init: ") {
			t.Errorf("exit code %d: %s", code, box.Logs())
		}
	})
}
