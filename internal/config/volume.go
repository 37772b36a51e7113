// SPDX-License-Identifier: Apache-2.0

package config

import (
	"errors"
	"os"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/gateway-init/gateway-init/internal/fsafe"
	"github.com/gateway-init/gateway-init/internal/sys"
)

// errNoVolume says that a file is not one of a Kubernetes volume.
var errNoVolume = errors.New("no file of a volume")

// volumeData is the link that a Kubernetes volume replaces when its content changes.
const volumeData = "..data"

// openVolume opens the directory that has name in a ConfigMap, Secret or projected volume
// of Kubernetes. Such a volume has links of two kinds: NAME leads to ..data/NAME, and
// ..data to the directory of the present content. Both must be owner's, and nobody else
// may be able to change them. The caller owns the descriptor.
func openVolume(dir *os.File, name string, owner *uint32) (*os.File, error) {
	if target, err := readLink(dir, name, owner); err != nil || target != volumeData+"/"+name {
		return nil, errNoVolume
	}
	content, err := readLink(dir, volumeData, owner)
	if err != nil || !strings.HasPrefix(content, "..") {
		return nil, errNoVolume
	}
	if err := checkVolume(dir, owner); err != nil {
		return nil, err
	}
	f, err := fsafe.OpenDirAt(dir, content)
	if err != nil {
		return nil, err
	}
	if err := checkVolume(f, owner); err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// readLink returns the target of a link that owner owns.
func readLink(dir *os.File, name string, owner *uint32) (string, error) {
	f, err := fsafe.OpenAt(dir, name, unix.O_PATH)
	if err != nil {
		return "", err
	}
	defer f.Close()
	if _, err := fsafe.Verify(f, fsafe.Want{UID: owner}); err != nil {
		return "", err
	}
	return fsafe.ReadLink(f)
}

// checkVolume refuses a directory that another user than owner can change. The root of a
// volume has mode 0777, and is mounted read-only.
func checkVolume(dir *os.File, owner *uint32) error {
	_, err := fsafe.Verify(dir, fsafe.Want{Type: fsafe.Directory, UID: owner, NotWritableByOthers: !sys.IsReadOnly(dir)})
	return err
}
