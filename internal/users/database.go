// SPDX-License-Identifier: Apache-2.0

package users

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	"golang.org/x/sys/unix"

	"github.com/gateway-init/gateway-init/internal/fsafe"
)

const (
	passwdPath = "/etc/passwd"
	groupPath  = "/etc/group"
	maxFile    = 1 << 20 // bytes
)

// Database holds both files, read once. It is for boot only. Drop it when all users
// are resolved, so that its memory is given back.
type Database struct{ passwd, group []byte }

// Load reads /etc/passwd and /etc/group. They must be regular files of at most 1 MiB
// each.
func Load() (*Database, error) { return load("") }

// load reads the files below unsafeRoot, which only tests set.
func load(unsafeRoot string) (*Database, error) {
	passwd, err := readFile(unsafeRoot+passwdPath, maxFile)
	if err != nil {
		return nil, fmt.Errorf("cannot look up users: %w", err)
	}
	group, err := readFile(unsafeRoot+groupPath, maxFile)
	if err != nil {
		return nil, fmt.Errorf("cannot look up users: %w", err)
	}
	return &Database{passwd, group}, nil
}

// readFile returns the content of a file of at most most bytes. It follows links, as
// every reader of these files does, because some images keep them elsewhere and only root
// can write /etc. O_NONBLOCK is against a FIFO.
func readFile(unsafePath string, most int) ([]byte, error) {
	f, err := os.OpenFile(unsafePath, os.O_RDONLY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%w: add the file to the image", err)
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := fsafe.Verify(f, fsafe.Want{Type: fsafe.Regular})
	if err != nil {
		return nil, fmt.Errorf("%w: put a regular file there", err)
	}
	if info.Size > int64(most) {
		return nil, fmt.Errorf("%s is %d bytes (accepted: at most %d): shorten it", unsafePath, info.Size, most)
	}
	return fsafe.ReadAll(f, most) // it may have grown
}
