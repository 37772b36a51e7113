// SPDX-License-Identifier: Apache-2.0

package config

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"

	"github.com/gateway-init/gateway-init/internal/fsafe"
)

// Load reads the configuration by descriptor. It must be a regular file of at most
// MaxSize bytes, owned by root, writable by no other user, with one name and no link
// in its path, except for those of a Kubernetes volume. A relative path is taken from the working directory. The error is
// one line that says what to do; it is an *Error if the content is refused.
func Load(unsafePath string) (*Config, error) {
	unsafePath, err := filepath.Abs(unsafePath)
	if err != nil {
		return nil, fmt.Errorf("cannot use the configuration: %w", err)
	}
	data, err := read(unsafePath, fsafe.ID(0))
	if err != nil {
		return nil, fmt.Errorf("cannot use %s: %w", unsafePath, err)
	}
	return Parse(data, unsafePath)
}

// read returns the content of a file that owner owns.
func read(unsafePath string, owner *uint32) ([]byte, error) {
	dir, err := fsafe.OpenDir(path.Dir(unsafePath))
	if err != nil {
		return nil, explain(unsafePath, fsafe.Info{}, err)
	}
	defer dir.Close()
	want := fsafe.Want{Type: fsafe.Regular, UID: owner, NotWritableByOthers: true, Links: 1}
	content, err := openVolume(dir, path.Base(unsafePath), owner)
	switch {
	case err == nil:
		defer content.Close()
		dir, unsafePath = content, path.Join(content.Name(), path.Base(unsafePath))
	case !errors.Is(err, errNoVolume):
		return nil, fmt.Errorf("%w: let only root change it, or mount it read-only", err)
	}
	data, info, err := fsafe.ReadAt(dir, path.Base(unsafePath), want, MaxSize)
	if err != nil {
		return nil, explain(unsafePath, info, err)
	}
	return data, nil
}

// explain returns the problem and the remedy. It leaves out the path of the
// configuration, which the caller names, but not the path of a parent. info is
// empty unless the file was opened.
func explain(unsafePath string, info fsafe.Info, err error) error {
	var unsafe *fsafe.UnsafeError
	var failed *fs.PathError
	switch {
	case errors.Is(err, fsafe.ErrTooLarge):
		return fmt.Errorf("it is %d bytes (accepted: at most %d): shorten it", info.Size, MaxSize)
	case errors.As(err, &unsafe) && unsafe.UnsafePath != unsafePath:
		return fmt.Errorf("%w: name the path without links", err)
	case errors.As(err, &unsafe):
		return fmt.Errorf("it %s: %s", unsafe.Problem, remedy(info))
	case errors.As(err, &failed) && failed.Path == unsafePath:
		err = failed.Err
	}
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("%w: put the configuration there", err)
	case errors.Is(err, os.ErrPermission):
		return fmt.Errorf("%w: let root read it, and run this as root", err)
	}
	return err
}

// remedy returns the remedy for the first property that Verify refuses.
func remedy(info fsafe.Info) string {
	switch {
	case info.Type == fsafe.Directory:
		return "put the file there; an engine makes a directory if the file of -v or volumes is missing on the host"
	case info.Type != fsafe.Regular:
		return "put a regular file there"
	case info.UID != 0:
		return "chown 0:0 it"
	case info.Mode&0o022 != 0:
		return "chmod 0644 it (Kubernetes: defaultMode: 0644)"
	default:
		return "copy it, so that it has one name only"
	}
}
