// SPDX-License-Identifier: Apache-2.0

// Package pathcheck checks whether the path of a program, or of the script that it is
// given, is out of reach of every user but root (and its own user). If the agent
// could replace a file that the gateway executes, it would get the token at the next
// start.
package pathcheck

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"strings"
	"syscall"

	"github.com/gateway-init/gateway-init/internal/fsafe"
)

// maxSteps bounds components and links, as the kernel bounds links.
const maxSteps = 256

// Executable refuses unsafePath unless it is an absolute path to a regular,
// executable file, and neither it nor any directory or link on the way, the
// root included, can be changed by any user but root and uid.
func Executable(unsafePath string, uid uint32) error {
	st, err := walkPath(unsafePath, uid)
	switch {
	case err != nil:
		return err
	case !st.Mode().IsRegular():
		return fmt.Errorf("cannot execute %s: %w: it is not a regular file", unsafePath, syscall.EACCES)
	case st.Mode().Perm()&0o111 == 0:
		return fmt.Errorf("cannot execute %s: %w: chmod a+x it", unsafePath, syscall.EACCES)
	}
	return nil
}

// Path refuses unsafePath, a file or a directory, unless it and everything on the way
// to it are out of others' reach, as Executable does. In a sticky directory others
// can still make files that are not there yet.
func Path(unsafePath string, uid uint32) (fs.FileInfo, error) { return walkPath(unsafePath, uid) }

// Command is the words of a command, and the user who runs it.
type Command struct {
	Words []string
	UID   uint32
}

// Commands checks what must hold before a gateway is started or given up: no other user
// can change the program of the gateway, or a file in the words of the gateway or of a
// sidecar. A sidecar's program may be missing, because that concerns the sidecar alone.
func Commands(gateway Command, sidecars []Command) error {
	err := Executable(gateway.Words[0], gateway.UID)
	if errors.Is(err, fs.ErrNotExist) {
		err = fmt.Errorf("%w: put it into the image, or correct gateway.command", err)
	}
	for _, c := range append([]Command{{gateway.Words[1:], gateway.UID}}, sidecars...) {
		if err == nil {
			err = Arguments(c.Words, c.UID)
		}
	}
	return err
}

// WorkingDir returns an error if the gateway's working directory is not there. A directory
// that cannot be seen is none, because the launch decides.
func WorkingDir(dir string) error {
	info, err := os.Stat(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("cannot enter the gateway's working_dir: %w: make it, or correct gateway.working_dir", err)
	case err == nil && !info.IsDir():
		return fmt.Errorf("cannot enter the gateway's working_dir: %s is no directory: make it one, or correct gateway.working_dir", dir)
	}
	return nil
}

// Arguments does the same as Executable for the words of a command, because a script
// can do whatever its interpreter can. It checks only words that are the absolute
// path of a regular file now. A directory to work in, or a file that is still to be
// written, may be another user's. A file behind a directory that is closed to us is
// refused if the way there shows that another user can change it, and is otherwise
// taken for its user's own.
func Arguments(words []string, uid uint32) error {
	for _, word := range words {
		if !path.IsAbs(word) {
			continue
		}
		st, err := os.Stat(word)
		if err == nil && !st.Mode().IsRegular() || err != nil && !errors.Is(err, fs.ErrPermission) {
			continue
		}
		if _, err := walkPath(word, uid); errors.Is(err, fsafe.ErrUnsafe) {
			return err
		}
	}
	return nil
}

// walkPath checks each step and returns the info of the last one. It goes as the
// kernel does, so ".." starts where a link led and not where it was written.
// Directories are checked from the top, because below one that only root can change
// nothing moves between two checks.
func walkPath(unsafePath string, uid uint32) (fs.FileInfo, error) {
	if !path.IsAbs(unsafePath) {
		return nil, &fsafe.UnsafeError{UnsafePath: unsafePath, Problem: "is not an absolute path: write it out"}
	}
	at, rest := "/", append([]string{"."}, components(unsafePath)...)
	for range maxSteps {
		next := path.Join(at, rest[0])
		rest = rest[1:]
		st, err := os.Lstat(next)
		if err != nil {
			return nil, fmt.Errorf("cannot use %s: %w", unsafePath, err)
		}
		if err := checkStep(next, st, uid); err != nil {
			return nil, err
		}
		switch {
		case st.Mode()&fs.ModeSymlink != 0:
			target, err := os.Readlink(next)
			if err != nil {
				return nil, fmt.Errorf("cannot use %s: %w", unsafePath, err)
			}
			if path.IsAbs(target) {
				at = "/"
			}
			rest = append(components(target), rest...)
			if len(rest) == 0 { // a link to /
				rest = []string{"."}
			}
		case len(rest) == 0:
			return st, nil
		case st.IsDir():
			at = next
		default:
			return nil, fmt.Errorf("cannot use %s: %s: %w", unsafePath, next, syscall.ENOTDIR)
		}
	}
	return nil, fmt.Errorf("cannot use %s: %w", unsafePath, syscall.ELOOP)
}

// components returns the names of a path. The path is not cleaned, because that would
// take "a/.." out before walkPath sees whether a is a link.
func components(unsafePath string) (names []string) {
	for _, name := range strings.Split(unsafePath, "/") {
		if name != "" && name != "." {
			names = append(names, name)
		}
	}
	return names
}

// checkStep refuses next if a user other than root and uid owns it or can write it. A
// link has no mode of its own; in a sticky directory only owners can move files.
func checkStep(next string, st fs.FileInfo, uid uint32) error {
	sys := st.Sys().(*syscall.Stat_t)
	if sys.Uid != 0 && sys.Uid != uid {
		return &fsafe.UnsafeError{UnsafePath: next, Problem: fmt.Sprintf("is owned by uid %d: chown root it", sys.Uid)}
	}
	if st.Mode()&fs.ModeSymlink != 0 || st.Mode().Perm()&0o022 == 0 || st.IsDir() && st.Mode()&fs.ModeSticky != 0 {
		return nil
	}
	return &fsafe.UnsafeError{UnsafePath: next, Problem: fmt.Sprintf("is writable by others (mode %04o): chmod go-w it", st.Mode().Perm())}
}
