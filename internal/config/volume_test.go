// SPDX-License-Identifier: Apache-2.0

package config

import (
	"errors"
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/gateway-init/gateway-init/internal/fsafe"
	"github.com/gateway-init/gateway-init/internal/testenv"
)

// TestConfigMapIsRead checks that the configuration can be a file of a ConfigMap, whose
// links nobody but root can change.
func TestConfigMapIsRead(t *testing.T) {
	if !testenv.Inside(t, unix.CLONE_NEWNS) {
		return
	}
	const content = "..2026_11_30_12_00_00.1234"
	for name, c := range map[string]struct {
		spoil func() error // of the volume, which is the working directory
		want  string       // "": it is read
	}{
		"as-kubernetes-mounts-it": {func() error { return unix.Mount("", "/mnt", "", unix.MS_REMOUNT|unix.MS_RDONLY, "") }, ""},
		"writable-by-root":        {func() error { return os.Chmod(".", 0o755) }, ""},
		"fs-group": {func() error {
			return errors.Join(os.Chown(".", 0, 2000), os.Chmod(".", 0o2777|os.ModeSetgid), os.Chown(content, 0, 2000),
				unix.Mount("", "/mnt", "", unix.MS_REMOUNT|unix.MS_RDONLY, ""))
		}, ""},
		"writable-by-others": {func() error { return nil }, "/mnt: is writable by others (mode 0777): let only root change it, or mount it read-only"},
		"content-is-open":    {func() error { return errors.Join(os.Chmod(".", 0o755), os.Chmod(content, 0o777)) }, content + ": is writable by others (mode 0777): let only root change it"},
		"file-is-open":       {func() error { return errors.Join(os.Chmod(".", 0o755), os.Chmod(content+"/config.json", 0o666)) }, "it is writable by others (mode 0666): chmod 0644 it (Kubernetes: defaultMode: 0644)"},
		"link-of-another":    {func() error { return errors.Join(os.Chmod(".", 0o755), os.Lchown("..data", 4711, 0)) }, "it is a symbolic link or not a directory: put a regular file there"},
		"name-of-another":    {func() error { return errors.Join(os.Chmod(".", 0o755), os.Lchown("config.json", 4711, 0)) }, "put a regular file there"},
		"content-of-another": {func() error { return errors.Join(os.Chmod(".", 0o755), os.Chown(content, 4711, 0)) }, content + ": is owned by uid 4711, not 0"},
		"another-link": {func() error {
			return errors.Join(os.Chmod(".", 0o755), os.Remove("config.json"), os.Symlink(content+"/config.json", "config.json"))
		}, "put a regular file there"},
		"data-elsewhere": {func() error {
			return errors.Join(os.Chmod(".", 0o755), os.Remove("..data"), os.Symlink("/tmp", "..data"))
		}, "put a regular file there"},
		"data-above": {func() error {
			return errors.Join(os.Chmod(".", 0o755), os.Remove("..data"), os.Symlink("..", "..data"))
		}, "is not a single file name"},
		"data-below-above": {func() error {
			return errors.Join(os.Chmod(".", 0o755), os.Remove("..data"), os.Symlink("../tmp", "..data"))
		}, "is not a single file name"},
	} {
		t.Run(name, func(t *testing.T) {
			testenv.Must(t, unix.Mount("none", "/mnt", "tmpfs", 0, "mode=0777"))
			t.Cleanup(func() { testenv.Must(t, unix.Unmount("/mnt", unix.MNT_DETACH)) })
			t.Chdir("/mnt")
			testenv.Must(t, errors.Join(os.Mkdir(content, 0o755), os.WriteFile(content+"/config.json", []byte(minimal), 0o644),
				os.Symlink(content, "..data"), os.Symlink("..data/config.json", "config.json")))
			testenv.Must(t, c.spoil())
			data, err := read("/mnt/config.json", fsafe.ID(0))
			switch {
			case c.want == "" && (err != nil || string(data) != minimal):
				t.Errorf("got %q, %v", data, err)
			case c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)):
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
}
