// SPDX-License-Identifier: Apache-2.0

package tokenfile

import (
	"crypto/sha256"
	"fmt"
	"os"
	"time"

	"github.com/gateway-init/gateway-init/internal/fsafe"
	"github.com/gateway-init/gateway-init/internal/status"
)

// Name is the name of the token file in the runtime directory.
const Name = "gateway-token"

// Store is the token of one run of PID 1. It keeps the token in the file Name, and
// remembers digests only.
type Store struct {
	dir    *os.File
	path   string // of the file, for the status record
	policy Policy
	sum    [sha256.Size]byte // of the token in force
	former [sha256.Size]byte // of the token before the last rotation
	next   [sha256.Size]byte // of the prepared token
	record status.Token
}

// NewStore mints a token in dir, which is the directory at dirPath and stays the
// caller's. It first removes the token of a previous run, its half of a rotation, and
// its reserve. They belong to p's owner, or to formerUID, because an earlier release
// gave them to the gateway's user. The new reserve lets one rotation succeed when others
// have filled the file system. Without it they could keep a gateway from starting whose
// token must be replaced.
func NewStore(dir *os.File, dirPath string, p Policy, formerUID uint32) (*Store, error) {
	if err := RemoveAll(dir, p.UID, formerUID); err != nil {
		return nil, err
	}
	secret, err := Mint(dir, Name, p)
	if err != nil {
		return nil, err
	}
	s := &Store{dir: dir, path: dirPath + "/" + Name, policy: p, sum: secret.Sum()}
	secret.Wipe()
	if err := makeReserve(dir, Name, p); err != nil {
		return nil, fmt.Errorf("cannot reserve space for the next token: %w", err)
	}
	return s, s.updateRecord()
}

// RemoveAll removes the token from dir, its half of a rotation, and its reserve, as
// fsafe.RemoveLeftover does.
func RemoveAll(dir *os.File, uids ...uint32) error {
	for _, name := range []string{Name, Name + fsafe.NewSuffix, Name + fsafe.ReserveSuffix} {
		if err := fsafe.RemoveLeftover(dir, name, uids...); err != nil {
			return err
		}
	}
	return nil
}

// Open opens the file of the token in force, for one child. The caller closes it.
func (s *Store) Open() (*os.File, error) { return Open(s.dir, Name, s.policy) }

// Sum returns the SHA-256 of the token in force.
func (s *Store) Sum() [sha256.Size]byte { return s.sum }

// Status describes the file for the status record.
func (s *Store) Status() status.Token { return s.record }

// keepReserve makes the reserve again if it was used and there is space. It returns no
// error: without a reserve a rotation still works while there is space.
func (s *Store) keepReserve() { _ = makeReserve(s.dir, Name, s.policy) }

// Prepare writes the next token beside the one in force, which does not change.
func (s *Store) Prepare() error {
	secret, err := prepareRotation(s.dir, Name, s.policy)
	if err != nil {
		return err
	}
	s.next = secret.Sum()
	secret.Wipe()
	s.keepReserve()
	return nil
}

// Commit puts the prepared token in force.
func (s *Store) Commit() error {
	if err := commitRotation(s.dir, Name, s.policy); err != nil {
		return err
	}
	s.keepReserve() // the former token has left its space
	s.former, s.sum = s.sum, s.next
	return s.updateRecord()
}

// Abort removes the prepared token, if there is one.
func (s *Store) Abort() error {
	err := abortRotation(s.dir, Name)
	s.keepReserve()
	return err
}

// HasMinted reports whether value is a token that a process may still have from us,
// which is the one in force or the one before. A nil Store has minted none.
func (s *Store) HasMinted(value []byte) bool {
	if s == nil || len(value) != Len {
		return false
	}
	sum := sha256.Sum256(value)
	return sum == s.sum || sum == s.former
}

// updateRecord describes the file that has just been installed.
func (s *Store) updateRecord() error {
	i, err := fsafe.StatAt(s.dir, Name)
	if err != nil {
		return err
	}
	s.record = status.Token{
		Path: s.path, UID: i.UID, GID: i.GID, Mode: fmt.Sprintf("%04o", i.Mode),
		Dev: i.Dev, Inode: i.Ino, MintedAt: time.Now(), Generation: s.record.Generation + 1,
	}
	return nil
}
