// SPDX-License-Identifier: Apache-2.0

package pathcheck

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"strings"

	"github.com/gateway-init/gateway-init/internal/fsafe"
)

// Search refuses a PATH in which a lookup of name can find a file of another
// user than root. Each entry up to the one that holds the program is checked,
// because the first match wins. An entry that does not exist is accepted if only
// root can make it. A sticky directory is accepted on the way, but not as an
// entry, because every user can make a file there.
func Search(search, name string) error {
	if search == "" {
		return errors.New("PATH is empty")
	}
	for _, entry := range strings.Split(search, ":") {
		if found, err := searchOne(entry, name); err != nil || found {
			return err
		}
	}
	return nil
}

// searchOne checks one entry and reports whether it holds the program.
func searchOne(entry, name string) (found bool, err error) {
	st, err := walkPath(entry, 0)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return false, checkParent(err)
	case err != nil:
		return false, err
	case !st.IsDir():
		return false, nil
	}
	if err := checkClosed(entry, st); err != nil {
		return false, err
	}
	if _, err := os.Lstat(path.Join(entry, name)); errors.Is(err, fs.ErrNotExist) {
		return false, nil // and only root can make it
	}
	st, err = walkPath(path.Join(entry, name), 0)
	if errors.Is(err, fs.ErrNotExist) {
		return false, checkParent(err)
	}
	return err == nil && st.Mode().IsRegular() && st.Mode().Perm()&0o111 != 0, err
}

// checkParent refuses the directory in which walkPath missed a name, unless only root
// can make that name there.
func checkParent(missing error) error {
	var at *fs.PathError
	if !errors.As(missing, &at) {
		return missing
	}
	parent := path.Dir(at.Path)
	st, err := os.Lstat(parent)
	if err != nil {
		return fmt.Errorf("cannot use %s: %w", parent, err)
	}
	return checkClosed(parent, st)
}

// checkClosed refuses a directory that another user can make a file in.
func checkClosed(dir string, st fs.FileInfo) error {
	if st.Mode().Perm()&0o022 != 0 {
		return &fsafe.UnsafeError{UnsafePath: dir, Problem: fmt.Sprintf("lets others make files (mode %04o): take it out of PATH", st.Mode().Perm())}
	}
	return nil
}
