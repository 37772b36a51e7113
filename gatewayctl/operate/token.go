// SPDX-License-Identifier: Apache-2.0

package operate

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"time"

	"github.com/gateway-init/gateway-init/internal/fsafe"
	"github.com/gateway-init/gateway-init/internal/status"
	"github.com/gateway-init/gateway-init/tokenfile"
)

// TokenError says why there is no token to print. Its words are a separate set
// (docs/reasons.md), so that a script can tell them apart.
type TokenError struct {
	reason string
	path   string
	cause  error
}

func (e *TokenError) Error() string {
	return fmt.Sprintf("cannot read token %s: %s: %v", e.path, e.reason, e.cause)
}

// The words of TokenError.
const (
	tokenNotRunning  = "not-running"
	tokenNotReadable = "not-readable"
	tokenEmpty       = "empty"
	tokenMalformed   = "malformed"
	tokenChanged     = "changed"
)

// explain returns the exit code and a hint.
func (e *TokenError) explain() (int, string) {
	switch e.reason {
	case tokenNotRunning:
		return ExitNoSupervisor, hintNoSupervisor
	case tokenNotReadable:
		return ExitFailed, "see not-readable in docs/reasons.md"
	}
	return ExitFailed, "gatewayctl restart --rotate-token"
}

// checkHardened refuses a token to a process that others could dump.
func (l *Local) checkHardened() error {
	if l.Hardened == nil {
		return nil
	}
	return &TokenError{tokenNotReadable, tokenfile.Name, fmt.Errorf("cannot keep this process from being dumped: %w", l.Hardened)}
}

// Token identifies the file, then reads it. We run as the supervisor's user, which owns
// the file.
func (l *Local) Token(context.Context) (*tokenfile.Secret, error) {
	if err := l.checkHardened(); err != nil {
		return nil, err
	}
	dir, err := l.OpenRuntime()
	if err != nil {
		return nil, unreadToken(tokenfile.Name, err)
	}
	defer dir.Close()
	path := strings.TrimSuffix(dir.Name(), "/") + "/" + tokenfile.Name
	r, err := l.identifyToken(dir, path)
	if err != nil {
		return nil, err
	}
	// PID 1 has decided whether this file system may hold a token.
	policy := tokenfile.Policy{UID: r.Token.UID, GID: r.Token.GID, RequireTmpfs: false}
	secret, err := tokenfile.Read(dir, tokenfile.Name, policy)
	if err != nil {
		return nil, &TokenError{tokenReason(err), path, err}
	}
	return secret, nil
}

// unreadToken returns the error if the directory or the record cannot be read.
func unreadToken(path string, err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return &TokenError{tokenNotRunning, path, err}
	}
	return &TokenError{tokenNotReadable, path, err}
}

// identifyToken compares the file with the one that PID 1 installed. It tries
// several times, because a rotation changes the file and, an instant later, the
// record.
func (l *Local) identifyToken(dir *os.File, path string) (status.Record, error) {
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for try := 0; ; try++ {
		r, err := status.Read(dir, l.Owner)
		if err != nil {
			return r, unreadToken(path, err)
		}
		if c := l.checkSupervisor(&r); c.Result != status.Held {
			return r, &TokenError{tokenNotRunning, path, errors.New(c.Detail)}
		}
		if r.Token.Inode != 0 && r.Token.UID != l.Owner {
			return r, &TokenError{tokenChanged, path, fmt.Errorf("the record names uid %d as its owner, not %d", r.Token.UID, l.Owner)}
		}
		c := l.checkToken(dir, &r)
		switch {
		case c.Result == status.Held:
			return r, nil
		case c.Result == status.NotAvailable:
			return r, &TokenError{tokenNotReadable, path, errors.New(c.Detail)}
		case try >= l.TokenTries:
			return r, &TokenError{tokenFileReason(dir), path, errors.New(c.Detail)}
		}
		<-tick.C
	}
}

// tokenFileReason tells an empty or malformed file from a changed one.
func tokenFileReason(dir *os.File) string {
	if i, err := fsafe.StatAt(dir, tokenfile.Name); err == nil && i.Type == fsafe.Regular {
		switch {
		case i.Size == 0:
			return tokenEmpty
		case i.Size != tokenfile.Len:
			return tokenMalformed
		}
	}
	return tokenChanged
}

func tokenReason(err error) string {
	switch {
	case errors.Is(err, tokenfile.ErrEmpty):
		return tokenEmpty
	case errors.Is(err, tokenfile.ErrMalformed):
		return tokenMalformed
	case errors.Is(err, tokenfile.ErrMissing), errors.Is(err, tokenfile.ErrUnsafe):
		return tokenChanged
	}
	return tokenNotReadable
}
