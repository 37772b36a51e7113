// SPDX-License-Identifier: Apache-2.0

package client

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"strings"
	"syscall"

	"github.com/gateway-init/gateway-init/internal/environ"
	"github.com/gateway-init/gateway-init/internal/fsafe"
	"github.com/gateway-init/gateway-init/internal/pathcheck"
	"github.com/gateway-init/gateway-init/internal/sys"
)

// Errors that a caller branches on, besides fsafe.ErrUnsafe, with the exit codes
// of shells.
var (
	ErrNotFound      = errors.New("not found")      // 127
	ErrNotExecutable = errors.New("not executable") // 126
)

// find returns the path of the program that would get the token, once it is sure
// that only root and uid could have put it there. It runs as uid.
func find(name string, env environ.List, uid uint32) (string, error) {
	found, err := sys.LookPath(name, env)
	if err != nil {
		return "", execError(name, err)
	}
	if err := pathcheck.Executable(found, uid); err != nil {
		return "", execError(name, err)
	}
	return found, interpreters(found, uid)
}

// execError turns the kernel's errors into ErrNotFound and ErrNotExecutable. The
// other errors (no process to be had, arguments too long) say nothing about the
// program.
func execError(name string, err error) error {
	switch {
	case errors.Is(err, fsafe.ErrUnsafe):
		return err
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ENOTDIR):
		return fmt.Errorf("%.128q is %w: %w", name, ErrNotFound, err)
	case errors.Is(err, syscall.EACCES), errors.Is(err, syscall.ENOEXEC), errors.Is(err, syscall.ELOOP):
		return fmt.Errorf("%.128q is %w: %w", name, ErrNotExecutable, err)
	}
	return fmt.Errorf("cannot start %.128q: %w", name, err)
}

// Bounds of execve(2): the bytes of a script that it looks at, and the number of
// interpreters of interpreters.
const (
	maxShebang      = 256
	maxInterpreters = 5
)

// interpreters checks the programs that the kernel executes instead of a script.
// The image is responsible for the files that these load in turn, as far as PATH
// leads nowhere else.
func interpreters(unsafePath string, uid uint32) error {
	for range maxInterpreters {
		line, err := firstLine(unsafePath)
		rest, script := strings.CutPrefix(line, "#!")
		if err != nil || !script {
			// A file that cannot be read is not a script, because its
			// interpreter could not read it either.
			return nil
		}
		fields := strings.FieldsFunc(rest, func(r rune) bool { return r == ' ' || r == '\t' })
		if len(fields) == 0 || !path.IsAbs(fields[0]) {
			return &fsafe.UnsafeError{UnsafePath: unsafePath, Problem: "names no interpreter by its absolute path"}
		}
		if err := pathcheck.Executable(fields[0], uid); err != nil {
			return fmt.Errorf("%s: %w", unsafePath, execError(fields[0], err))
		}
		unsafePath = fields[0]
	}
	return execError(unsafePath, syscall.ELOOP)
}

func firstLine(unsafePath string) (string, error) {
	f, err := os.OpenFile(unsafePath, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return "", err
	}
	defer f.Close()
	buf := make([]byte, maxShebang)
	n, err := f.ReadAt(buf, 0)
	if n == 0 {
		return "", err
	}
	line, _, _ := strings.Cut(string(buf[:n]), "\n")
	return line, nil
}

// searchPath returns the directories of the default PATH that exist and are
// closed to others. If others can write a directory, the next program of that
// name is theirs. The second result lists the directories that were left out.
func searchPath(uid uint32) (kept string, left []string) {
	var dirs []string
	for _, dir := range strings.Split(environ.DefaultPath, ":") {
		st, err := pathcheck.Path(dir, uid)
		switch {
		case errors.Is(err, fs.ErrNotExist):
		case err == nil && (!st.IsDir() || st.Mode().Perm()&0o022 != 0):
			left = append(left, dir+": is no directory, or is writable by others")
		case err != nil:
			left = append(left, err.Error())
		default:
			dirs = append(dirs, dir)
		}
	}
	if len(dirs) == 0 {
		return "/nonexistent", left // an empty PATH means the working directory
	}
	return strings.Join(dirs, ":"), left
}
