// SPDX-License-Identifier: Apache-2.0

package fsafe

import (
	"errors"
	"os"
	"runtime"

	"golang.org/x/sys/unix"
)

// ReadLink returns the target of the symbolic link that f holds (opened with O_PATH).
func ReadLink(f *os.File) (string, error) {
	buf := make([]byte, unix.PathMax)
	n, err := unix.Readlinkat(int(f.Fd()), "", buf)
	runtime.KeepAlive(f)
	if err != nil {
		return "", &os.PathError{Op: "readlink", Path: f.Name(), Err: err}
	}
	return string(buf[:n]), nil
}

// HasCapabilities reports whether executing f can give capabilities that the caller
// does not have (the extended attribute security.capability, capabilities(7)). It
// does not work on an O_PATH descriptor. A file on a file system without attributes
// has none.
func HasCapabilities(f *os.File) (bool, error) {
	_, err := unix.Fgetxattr(int(f.Fd()), "security.capability", nil)
	runtime.KeepAlive(f)
	switch {
	case err == nil:
		return true, nil
	case errors.Is(err, unix.ENODATA), errors.Is(err, unix.ENOTSUP):
		return false, nil
	}
	return false, &os.PathError{Op: "fgetxattr", Path: f.Name(), Err: err}
}
