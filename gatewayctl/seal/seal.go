// SPDX-License-Identifier: Apache-2.0

package seal

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"

	"github.com/gateway-init/gateway-init/internal/fsafe"
)

// Done is the result of Seal.
type Done struct {
	Cleared bool     // the token was not "", or was missing
	SHA256  string   // of the file as it is now
	Pinned  bool     // seal.json did not have this hash
	Removed []string // backups that held a secret, and why
}

// trusted describes a file that only root can have written.
func trusted(t fsafe.Type, links uint64) fsafe.Want {
	return fsafe.Want{Type: t, UID: fsafe.ID(0), NotWritableByOthers: true, Links: links}
}

// Seal clears the token of the configuration unsafeFile (a path below
// unsafeRoot), removes backups beside it that have a secret, reads the file
// again, and pins its hash. Everything is done by descriptor; a second run finds
// nothing to do. A refusal matches fsafe.ErrUnsafe or is a *ContentError, and
// comes before anything is changed.
func (l Layout) Seal(unsafeRoot, unsafeFile string) (Done, error) {
	done, err := l.seal(unsafeRoot, unsafeFile)
	if err != nil {
		return done, fmt.Errorf("cannot seal %s: %w", unsafeFile, err)
	}
	return done, nil
}

func (l Layout) seal(unsafeRoot, unsafeFile string) (done Done, err error) {
	if !path.IsAbs(unsafeFile) || path.Clean(unsafeFile) != unsafeFile {
		return done, &fsafe.UnsafeError{UnsafePath: unsafeFile, Problem: "is not an absolute, clean path"}
	}
	pinDir, err := openTrusted(unsafeRoot, path.Dir(PinFile))
	if err != nil {
		return done, err
	}
	defer pinDir.Close()
	pins, err := readPins(pinDir)
	if err != nil {
		return done, err
	}
	dir, err := openTrusted(unsafeRoot, path.Dir(unsafeFile))
	if err != nil {
		return done, err
	}
	defer dir.Close()
	name := path.Base(unsafeFile)
	file, err := l.readClear(dir, name)
	if err != nil {
		return done, err
	}
	backups, err := l.findBackups(dir, name)
	if err != nil {
		return done, err
	}
	// Up to here Seal could still refuse, and nothing was changed.
	if done.Cleared = file.changed; done.Cleared {
		if err := replace(dir, name, file.data, file.info.Mode, file.info.GID); err != nil {
			return done, err
		}
	}
	for _, b := range backups {
		if err := fsafe.Remove(dir, b.name); err != nil {
			return done, err
		}
		done.Removed = append(done.Removed, fmt.Sprintf("%s (%s)", b.name, b.why))
	}
	// Pin the content that is there, not the content that was meant to be there.
	data, _, err := fsafe.ReadAt(dir, name, trusted(fsafe.Regular, 1), MaxSize)
	if err == nil {
		err = l.Check(data)
	}
	if err != nil {
		return done, fmt.Errorf("it is not what was written: %w", err)
	}
	sum := sha256.Sum256(data)
	done.SHA256 = hex.EncodeToString(sum[:])
	done.Pinned, err = writePins(pinDir, pins, Pin{unsafeFile, done.SHA256})
	return done, err
}

// openTrusted opens a directory of the image that only root can change.
func openTrusted(unsafeRoot, unsafePath string) (*os.File, error) {
	dir, err := fsafe.OpenDir(path.Join(unsafeRoot, unsafePath))
	if err != nil {
		return nil, err
	}
	if _, err := fsafe.Verify(dir, trusted(fsafe.Directory, 0)); err != nil {
		dir.Close()
		return nil, err
	}
	return dir, nil
}

// cleared is a file with its token cleared.
type cleared struct {
	data    []byte
	info    fsafe.Info
	changed bool
}

// readClear reads name and clears its token in memory.
func (l Layout) readClear(dir *os.File, name string) (c cleared, err error) {
	data, info, err := fsafe.ReadAt(dir, name, trusted(fsafe.Regular, 1), MaxSize)
	if err != nil {
		return c, err
	}
	clear, err := l.clearToken(data)
	return cleared{clear, info, !bytes.Equal(clear, data)}, err
}

// replace does the same as fsafe.Replace, for a file of another group than ours.
func replace(dir *os.File, name string, data []byte, perm, gid uint32) error {
	f, err := fsafe.WriteNew(dir, name+fsafe.NewSuffix, data, perm, &fsafe.Owner{UID: 0, GID: gid})
	if err != nil {
		return err
	}
	defer f.Close()
	if err := fsafe.Rename(dir, name+fsafe.NewSuffix, name); err != nil {
		return errors.Join(err, fsafe.Remove(dir, name+fsafe.NewSuffix))
	}
	return nil
}

// isBackup reports whether name is one of the backups that the gateway writes
// beside the configuration base.
func (l Layout) isBackup(name, base string) bool {
	after, ok := strings.CutPrefix(name, base)
	return ok && slices.ContainsFunc(l.Backups, func(b string) bool { return strings.HasPrefix(after, b) })
}

// backup is a backup that holds a secret.
type backup struct{ name, why string }

// findBackups returns the backups of base with a secret. The gateway, its doctor
// and its editor write them with the previous content of the file.
func (l Layout) findBackups(dir *os.File, base string) (found []backup, err error) {
	names, err := dir.Readdirnames(-1)
	if err != nil {
		return nil, err
	}
	slices.Sort(names)
	for _, name := range names {
		if !l.isBackup(name, base) {
			continue
		}
		data, _, err := fsafe.ReadAt(dir, name, trusted(fsafe.Regular, 1), MaxSize)
		if err != nil {
			return nil, fmt.Errorf("a backup beside it: %w: remove it", err)
		}
		if why := l.Secret(data); why != "" {
			found = append(found, backup{name, why})
		}
	}
	return found, nil
}

// readPins reads seal.json; without one there are no pins yet.
func readPins(dir *os.File) ([]Pin, error) {
	data, _, err := fsafe.ReadAt(dir, path.Base(PinFile), trusted(fsafe.Regular, 1), MaxPinFile)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	pins, err := ParsePins(data)
	if err != nil {
		return nil, fmt.Errorf("%s: %w: remove the file, then seal again", PinFile, err)
	}
	return pins, nil
}

func writePins(dir *os.File, pins []Pin, p Pin) (changed bool, err error) {
	if slices.Contains(pins, p) {
		return false, nil
	}
	data, err := encodePins(replacePin(pins, p))
	if err == nil {
		err = replace(dir, path.Base(PinFile), data, 0o644, 0)
	}
	return err == nil, err
}
