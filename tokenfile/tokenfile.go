// SPDX-License-Identifier: Apache-2.0

// Package tokenfile keeps one secret token in one file that only its owner can
// read. It mints, opens, reads, rotates and revokes the token, by descriptor.
//
// The caller opens the directory and guarantees that only the caller may write it.
// The file is a regular file with one link and mode 0400, on a memory file system if
// the Policy demands that. It belongs to the process that mints it, which is PID 1.
// It holds 64 lower-case hex digits without a newline. The name never holds a partial
// or an older token, because a new one is written completely under name.new and then
// renamed. A Store is PID 1's side of all that.
//
// A process of another user cannot open the file. It gets the token from PID 1
// as an open descriptor (Open), reads it with ReadFrom, and closes it. It cannot
// open the file through the link in /proc/PID/fd, because such an open checks the
// inode's owner and mode again (proc_pid_fd(5)).
//
// The package works for a root that has CAP_CHOWN but neither CAP_FOWNER nor
// CAP_DAC_OVERRIDE.
//
// Not defended: root, and without root every process of the same user, can
// rewrite the file. Keep Secret.Sum and compare it after each read.
package tokenfile

import (
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"golang.org/x/sys/unix"

	"github.com/gateway-init/gateway-init/internal/fsafe"
	"github.com/gateway-init/gateway-init/internal/sys"
)

// Errors that a caller may branch on. Each is wrapped with the path and the cause.
var (
	errExist      = errors.New("token file exists already")
	ErrMissing    = errors.New("token file is missing")
	ErrUnsafe     = errors.New("token file is unsafe")
	errNotTmpfs   = fmt.Errorf("%w: not on a memory file system", ErrUnsafe)
	ErrUnreadable = errors.New("token file is not readable")
	ErrEmpty      = errors.New("token file is empty")
	ErrMalformed  = errors.New("token file is malformed")
)

// Policy holds the properties that the file must have.
type Policy struct {
	UID, GID     uint32 // of its owner, which is the process that mints it
	RequireTmpfs bool   // refuse a file system that is not tmpfs or ramfs
}

// mode is the only mode that a token file may have.
const mode = 0o400

// Mint writes a fresh token as name in dir. It never replaces a file; an existing
// name, of whatever type, is errExist. The caller wipes the Secret.
func Mint(dir *os.File, name string, p Policy) (*Secret, error) {
	s, err := prepareRotation(dir, name, p)
	if err != nil {
		return nil, err
	}
	if err := fsafe.Install(dir, name+fsafe.NewSuffix, name); err != nil {
		s.Wipe()
		err = errors.Join(err, fsafe.Remove(dir, name+fsafe.NewSuffix))
		if errors.Is(err, fs.ErrExist) {
			return nil, fmt.Errorf("%w: %v", errExist, err)
		}
		return nil, fmt.Errorf("cannot install token: %w", err)
	}
	return s, nil
}

// commitRotation renames name.new over name. It first verifies that name is a token
// file as p demands, or does not exist.
func commitRotation(dir *os.File, name string, p Policy) error {
	_, err := fsafe.VerifyAt(dir, name, p.want())
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%w: %w", ErrUnsafe, err)
	}
	if _, err := fsafe.VerifyAt(dir, name+fsafe.NewSuffix, p.want()); err != nil {
		return fmt.Errorf("%w: %w", ErrUnsafe, err)
	}
	return fsafe.Rename(dir, name+fsafe.NewSuffix, name)
}

// abortRotation removes name.new, if it is there.
func abortRotation(dir *os.File, name string) error { return remove(dir, name+fsafe.NewSuffix) }

// Open opens the token file name in dir for reading, and verifies its type, owner,
// mode, links and file system. Its offset is at the start. The caller owns the
// descriptor.
func Open(dir *os.File, name string, p Policy) (*os.File, error) {
	f, err := fsafe.OpenAt(dir, name, unix.O_RDONLY)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("%w: %v", ErrMissing, err)
	case errors.Is(err, fs.ErrPermission):
		return nil, fmt.Errorf("%w: %v", ErrUnreadable, err)
	case err != nil:
		return nil, fmt.Errorf("%w: %v", ErrUnsafe, err)
	}
	if _, err = fsafe.Verify(f, p.want()); err != nil {
		err = fmt.Errorf("%w: %w", ErrUnsafe, err)
	} else {
		err = p.checkFS(f)
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// ReadFrom reads the token from an open token file. It uses pread(2), because
// processes that were handed one descriptor share its offset. The descriptor
// stays the caller's. The caller compares the Sum, and wipes the Secret.
func ReadFrom(f *os.File) (*Secret, error) {
	text, err := fsafe.ReadAll(f, Len)
	switch {
	case errors.Is(err, fsafe.ErrTooLarge):
		return nil, fmt.Errorf("%w: %s holds more than %d bytes", ErrMalformed, f.Name(), Len)
	case err != nil:
		return nil, fmt.Errorf("%w: %w", ErrUnreadable, err)
	}
	return parse(text, f.Name())
}

// parse returns the token that text is. It takes over text. name says where text was
// read, for an error.
func parse(text []byte, name string) (*Secret, error) {
	switch {
	case len(text) == 0:
		return nil, fmt.Errorf("%w: %s", ErrEmpty, name)
	case !wellFormed(text):
		clear(text)
		return nil, fmt.Errorf("%w: %s is not %d lower-case hex digits", ErrMalformed, name, Len)
	}
	return newText(text), nil
}

// Read opens, verifies and reads the token. The caller wipes the Secret.
func Read(dir *os.File, name string, p Policy) (*Secret, error) {
	f, err := Open(dir, name, p)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return ReadFrom(f)
}

func (p Policy) want() fsafe.Want {
	return fsafe.Want{Type: fsafe.Regular, UID: &p.UID, GID: &p.GID, Mode: fsafe.Mode(mode), Links: 1}
}

func (p Policy) checkFS(f *os.File) error {
	magic, err := sys.FSMagic(f)
	if err != nil {
		return err
	}
	if p.RequireTmpfs && magic != sys.TmpfsMagic && magic != sys.RamfsMagic {
		return fmt.Errorf("%w (file system %#x): %s", errNotTmpfs, magic, f.Name())
	}
	return nil
}

// prepareRotation writes a complete, verified token as name.new, and does not change
// name. It is the first half of a rotation, and can fail (no space) while the old
// token stays in force. commitRotation is the second half, and abortRotation undoes
// the first. If there is no space, it uses name.reserve. The caller wipes the Secret.
func prepareRotation(dir *os.File, name string, p Policy) (_ *Secret, err error) {
	if err := p.checkFS(dir); err != nil {
		return nil, err
	}
	s, err := newSecret()
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			s.Wipe()
		}
	}()
	f, err := fsafe.WriteNew(dir, name+fsafe.NewSuffix, s.Bytes(), mode, &fsafe.Owner{UID: p.UID, GID: p.GID})
	if errors.Is(err, unix.ENOSPC) {
		if r, missing := useReserve(dir, name, s.Bytes()); missing == nil {
			f, err = r, nil
		}
	}
	if err != nil {
		return nil, fmt.Errorf("cannot write token: %w", err)
	}
	defer f.Close()
	if _, err := fsafe.Verify(f, p.want()); err != nil {
		return nil, errors.Join(fmt.Errorf("%w: %w", ErrUnsafe, err), abortRotation(dir, name))
	}
	return s, nil
}

// newSecret returns a token of 32 bytes from getrandom(2).
func newSecret() (*Secret, error) {
	var raw [Len / 2]byte
	if err := sys.Random(raw[:]); err != nil {
		return nil, fmt.Errorf("cannot draw a token: %w", err)
	}
	s := newText(hex.AppendEncode(make([]byte, 0, Len), raw[:]))
	clear(raw[:])
	return s, nil
}

// remove unlinks a regular file. A missing file is not an error.
func remove(dir *os.File, name string) error {
	if _, err := fsafe.VerifyAt(dir, name, fsafe.Want{Type: fsafe.Regular}); err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		return fmt.Errorf("%w: %w", ErrUnsafe, err)
	}
	return fsafe.Remove(dir, name)
}

func wellFormed(text []byte) bool {
	if len(text) != Len {
		return false
	}
	for _, c := range text {
		if (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return true
}
