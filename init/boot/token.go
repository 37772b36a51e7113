// SPDX-License-Identifier: Apache-2.0

package boot

import (
	"crypto/sha256"
	"fmt"
	"os"
	"time"

	"github.com/gateway-init/gateway-init/internal/fsafe"
	"github.com/gateway-init/gateway-init/internal/runtimedir"
	"github.com/gateway-init/gateway-init/internal/status"
	"github.com/gateway-init/gateway-init/internal/users"
	"github.com/gateway-init/gateway-init/tokenfile"
)

// tokenName is the token's file in the runtime directory.
const tokenName = "gateway-token"

// keeper is the supervisor's TokenKeeper. It keeps digests only.
type keeper struct {
	dir    *runtimedir.Dir
	policy tokenfile.Policy
	sum    [32]byte
	old    [32]byte // before the last rotation
	next   [32]byte
	st     status.Token
}

// mint removes a leftover token and creates a new one. Both files are our own; an
// earlier release gave them to the gateway's user u.
func mint(dir *runtimedir.Dir, u users.User) (*keeper, error) {
	self := uint32(os.Geteuid())
	k := &keeper{dir: dir, policy: tokenfile.Policy{UID: self, GID: uint32(os.Getegid()), AnyFS: dir.Disk != ""}}
	for _, name := range []string{tokenName, tokenName + fsafe.NewSuffix} {
		if err := fsafe.RemoveLeftover(dir.File, name, self, u.UID); err != nil {
			return nil, err
		}
	}
	secret, err := tokenfile.Mint(dir.File, tokenName, k.policy)
	if err != nil {
		return nil, err
	}
	k.sum = secret.Sum()
	secret.Wipe()
	return k, k.note()
}

func (k *keeper) note() error {
	i, err := fsafe.StatAt(k.dir.File, tokenName)
	if err != nil {
		return err
	}
	k.st = status.Token{
		Path: k.dir.Path + "/" + tokenName, UID: i.UID, GID: i.GID, Mode: fmt.Sprintf("%04o", i.Mode),
		Dev: i.Dev, Inode: i.Ino, MintedAt: time.Now(), Generation: k.st.Generation + 1,
	}
	return nil
}

func (k *keeper) Sum() [32]byte        { return k.sum }
func (k *keeper) Status() status.Token { return k.st }

func (k *keeper) Prepare() error {
	secret, err := tokenfile.Prepare(k.dir.File, tokenName, k.policy)
	if err != nil {
		return err
	}
	k.next = secret.Sum()
	secret.Wipe()
	return nil
}

func (k *keeper) Commit() error {
	if err := tokenfile.Commit(k.dir.File, tokenName, k.policy); err != nil {
		return err
	}
	k.old, k.sum = k.sum, k.next
	return k.note()
}

// minted reports whether value is a token that a process may still have from us,
// which is the current one or the one before. A nil keeper has minted none.
func (k *keeper) minted(value []byte) bool {
	if k == nil || len(value) != tokenfile.Len {
		return false
	}
	sum := sha256.Sum256(value)
	return sum == k.sum || sum == k.old
}

func (k *keeper) Abort() error { return tokenfile.Abort(k.dir.File, tokenName) }

// Open opens the token's file for one child.
func (k *keeper) Open() (*os.File, error) { return tokenfile.Open(k.dir.File, tokenName, k.policy) }
