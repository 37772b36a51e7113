// SPDX-License-Identifier: Apache-2.0

package token

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/gateway-init/gateway-init/tests/harness"
)

// Scenario T06. When the token cannot be written, boot ends with one line,
// and no gateway runs without authentication.
//
// When the token could not be written, the entrypoint went on, and the gateway ran
// without authentication.
func TestUnwritableTokenEndsBoot(t *testing.T) {
	for name, c := range map[string]struct {
		options string // of the tmpfs
		plant   func(dir, token string) error
		words   []string
	}{
		"read-only": {"size=1m,mode=0711", nil, []string{"read-only file system"}},
		"full": {"size=64k,mode=0711", func(dir, _ string) error {
			f, err := os.Create(filepath.Join(dir, "ballast"))
			if err != nil {
				return err
			}
			defer f.Close()
			for err == nil {
				_, err = f.Write(make([]byte, 4096))
			}
			return nil
		}, []string{"/run/gateway-init", "0 bytes are free", "make room"}},
		"symlink": {"size=1m,mode=0711", func(dir, token string) error {
			return os.Symlink("/tmp/stolen", token)
		}, []string{"gateway-token", "symbolic link", "remove it"}},
		"hard-link": {"size=1m,mode=0711", func(dir, token string) error {
			if err := os.WriteFile(token, nil, 0o400); err != nil {
				return err
			}
			return os.Link(token, filepath.Join(dir, "second"))
		}, []string{"gateway-token", "2", "remove it"}},
		"pre-created": {"size=1m,mode=0711", func(dir, token string) error {
			if err := os.WriteFile(token, nil, 0o666); err != nil {
				return err
			}
			return os.Chown(token, harness.SandboxUID, harness.SandboxUID)
		}, []string{"gateway-token", "uid 9002", "remove it"}},
		"directory": {"size=1m,mode=0711", func(dir, token string) error {
			return os.Mkdir(token, 0o700)
		}, []string{"gateway-token", "directory", "remove it"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := mountTmpfs(t, c.options)
			if c.plant != nil {
				if err := c.plant(dir, filepath.Join(dir, "gateway-token")); err != nil {
					t.Fatal(err)
				}
			}
			mount := dir + ":/run/gateway-init"
			if name == "read-only" {
				mount += ":ro"
			}
			box, r := harness.TryStart(t, harness.Options{Flags: []string{"-v", mount}})
			if r.Code != 0 {
				t.Fatal(r)
			}
			if code := box.WaitExit(30 * time.Second); code != 1 {
				t.Errorf("exit code %d, want 1", code)
			}
			log := box.Logs()
			if strings.Contains(log, "demogateway:") || strings.Contains(log, "gateway-started") {
				t.Errorf("a gateway was started:\n%s", log)
			}
			lines := strings.Split(strings.TrimSpace(log), "\n")
			last := lines[len(lines)-1]
			for _, w := range append(c.words, "gateway-init: cannot ") {
				if !strings.Contains(last, w) {
					t.Errorf("the last line does not say %q: %s", w, last)
				}
			}
			if _, err := os.Lstat("/tmp/stolen"); err == nil {
				t.Error("the token went through the link")
			}
		})
	}
}

// mountTmpfs mounts a tmpfs on the host, for a container.
func mountTmpfs(t *testing.T, options string) string {
	t.Helper()
	dir := t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, options); err != nil {
		t.Fatalf("cannot mount a tmpfs: %v", err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	return dir
}
