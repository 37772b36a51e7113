// Package trust tells whether a program's path is out of reach of everybody
// but root (and its own user): if the agent could replace the gateway's
// executable, it would be handed the token at the next start.
package trust

import (
	"fmt"
	"io/fs"
	"os"
	"path"
	"strings"
	"syscall"

	"gatewayinit/internal/fsafe"
)

// maxSteps bounds components and links, as the kernel bounds links.
const maxSteps = 256

// Executable refuses unsafePath unless it is an absolute path to a regular,
// executable file, and neither it nor any directory or link on the way can be
// changed by anybody but root and uid. Directories are looked at from the top:
// below one that only root can change, nothing moves between two looks.
func Executable(unsafePath string, uid uint32) error {
	at, rest := "/", strings.Split(strings.Trim(path.Clean(unsafePath), "/"), "/")
	for range maxSteps {
		name := rest[0]
		next := path.Join(at, name)
		st, err := os.Lstat(next)
		if err != nil {
			return fmt.Errorf("cannot use %s: %w", unsafePath, err)
		}
		sys := st.Sys().(*syscall.Stat_t)
		if sys.Uid != 0 && sys.Uid != uid {
			return &fsafe.UnsafeError{UnsafePath: next, Problem: fmt.Sprintf("is owned by uid %d: chown root it", sys.Uid)}
		}
		switch {
		case st.Mode()&fs.ModeSymlink != 0:
			target, err := os.Readlink(next)
			if err != nil {
				return fmt.Errorf("cannot use %s: %w", unsafePath, err)
			}
			if path.IsAbs(target) {
				at = "/"
			}
			rest = append(strings.Split(strings.Trim(path.Clean(target), "/"), "/"), rest[1:]...)
			continue
		case st.Mode().Perm()&0o022 != 0 && st.Mode()&fs.ModeSticky == 0:
			return &fsafe.UnsafeError{UnsafePath: next, Problem: fmt.Sprintf("is writable by others (mode %04o): chmod go-w it", st.Mode().Perm())}
		case len(rest) > 1:
			at, rest = next, rest[1:]
			continue
		case !st.Mode().IsRegular():
			return fmt.Errorf("cannot execute %s: %w: it is not a regular file", unsafePath, syscall.EACCES)
		case st.Mode().Perm()&0o111 == 0:
			return fmt.Errorf("cannot execute %s: %w: chmod a+x it", unsafePath, syscall.EACCES)
		}
		return nil
	}
	return fmt.Errorf("cannot use %s: %w", unsafePath, syscall.ELOOP)
}
