// SPDX-License-Identifier: Apache-2.0

package fsafe

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/gateway-init/gateway-init/internal/testenv"
)

func TestReadLink(t *testing.T) {
	path := t.TempDir()
	long := strings.Repeat("a", 4000)
	testenv.Must(t, os.Symlink(long, filepath.Join(path, "link")))
	testenv.Must(t, os.WriteFile(filepath.Join(path, "file"), nil, 0o600))
	dir := testenv.Dir(t, path)
	f, err := OpenAt(dir, "link", unix.O_PATH)
	testenv.Must(t, err)
	defer f.Close()
	if got, err := ReadLink(f); err != nil || got != long {
		t.Errorf("got %d bytes, %v", len(got), err)
	}
	file, err := OpenAt(dir, "file", unix.O_PATH)
	testenv.Must(t, err)
	defer file.Close()
	if got, err := ReadLink(file); err == nil {
		t.Errorf("a file leads to %q", got)
	}
}

func TestHasCapabilities(t *testing.T) {
	testenv.Root(t)
	// VFS_CAP_REVISION_2 with CAP_NET_RAW permitted (linux/capability.h).
	value := append([]byte{0, 0, 0, 2, 0, 1 << 5}, make([]byte, 14)...)
	value = value[:20]
	path := t.TempDir()
	for name, want := range map[string]bool{"plain": false, "capable": true} {
		file := filepath.Join(path, name)
		testenv.Must(t, os.WriteFile(file, nil, 0o755))
		if want {
			testenv.Must(t, unix.Setxattr(file, "security.capability", value, 0))
		}
		f := testenv.Dir(t, file)
		if got, err := HasCapabilities(f); err != nil || got != want {
			t.Errorf("%s: got %v, %v", name, got, err)
		}
	}
	f, err := OpenAt(testenv.Dir(t, path), "capable", unix.O_PATH)
	testenv.Must(t, err)
	defer f.Close()
	if got, err := HasCapabilities(f); err == nil {
		t.Errorf("on an O_PATH descriptor: %v", got)
	}
	if got, err := HasCapabilities(testenv.Dir(t, "/proc/self/status")); err != nil || got {
		t.Errorf("without attributes: %v, %v", got, err)
	}
}
