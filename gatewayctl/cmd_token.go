// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"time"

	"github.com/gateway-init/gateway-init/internal/fsafe"
	"github.com/gateway-init/gateway-init/internal/status"
	"github.com/gateway-init/gateway-init/tokenfile"
)

func cmdToken() verb {
	return verb{
		name: "token", args: "[--url BASE]", summary: "print the gateway's token (root only)",
		help: `Prints only the token, on one line. Only root can read it. In a container
without root, its one user can.

  --url BASE   print the dashboard's URL instead: BASE with the token in its
               fragment, which browsers do not send to the server

Exit code: 0 printed, 1 the token is not available (the error names the file and
one reason of not-readable, empty, malformed, changed), 5 no supervisor.
`,
		setup: func(f *flag.FlagSet) func(*app, []string) int {
			base := f.String("url", "", "")
			return func(a *app, _ []string) int {
				prefix := ""
				given := false
				f.Visit(func(f *flag.Flag) { given = given || f.Name == "url" })
				if given {
					var err error
					if prefix, err = urlPrefix(*base); err != nil {
						return a.usage(err, "token")
					}
				}
				if a.external {
					return a.tokenAsSupervisor()
				}
				return a.token(prefix)
			}
		},
	}
}

// tokenError says why there is no token to print. Its words are a separate set
// (docs/reasons.md), so that a script can tell them apart.
type tokenError struct {
	reason string
	path   string
	cause  error
}

func (e *tokenError) Error() string {
	return fmt.Sprintf("cannot read token %s: %s: %v", e.path, e.reason, e.cause)
}

// The words of tokenError.
const (
	tokenNotRunning  = "not-running"
	tokenNotReadable = "not-readable"
	tokenEmpty       = "empty"
	tokenMalformed   = "malformed"
	tokenChanged     = "changed"
)

// code returns the exit code and a hint.
func (e *tokenError) code() (int, string) {
	switch e.reason {
	case tokenNotRunning:
		return exitNoSupervisor, hintNoSupervisor
	case tokenNotReadable:
		return exitFailed, "see not-readable in docs/reasons.md"
	}
	return exitFailed, "gatewayctl restart --rotate-token"
}

// noToken prints why there is no token and returns the exit code.
func (a *app) noToken(err error) int {
	code, hint := exitFailed, ""
	if e := (*tokenError)(nil); errors.As(err, &e) {
		code, hint = e.code()
	}
	return a.fail(code, err, hint)
}

// token prints the token in one write, or why there is none.
func (a *app) token(prefix string) int {
	secret, _, err := a.readToken()
	if err != nil {
		return a.noToken(err)
	}
	defer secret.Wipe()
	line := make([]byte, 0, len(prefix)+tokenfile.Len+1)
	defer func() { clear(line[:cap(line)]) }()
	line = append(line, prefix...)
	line = append(line, secret.Bytes()...)
	line = append(line, '\n')
	if _, err := a.out.Write(line); err != nil {
		return a.fail(exitFailed, fmt.Errorf("cannot write token to stdout: %w", err), "")
	}
	return exitOK
}

// readToken identifies the file, then reads it. We run as the supervisor's user,
// which owns the file. r is the record that names the file.
func (a *app) readToken() (secret *tokenfile.Secret, r status.Record, err error) {
	if a.hardened != nil {
		return nil, r, &tokenError{tokenNotReadable, tokenfile.Name, fmt.Errorf("cannot keep this process from being dumped: %w", a.hardened)}
	}
	dir, err := a.openRuntime()
	if err != nil {
		reason := tokenNotReadable
		if errors.Is(err, fs.ErrNotExist) {
			reason = tokenNotRunning
		}
		return nil, r, &tokenError{reason, tokenfile.Name, err}
	}
	defer dir.Close()
	path := strings.TrimSuffix(dir.Name(), "/") + "/" + tokenfile.Name
	if r, err = a.identifyToken(dir, path); err != nil {
		return nil, r, err
	}
	// PID 1 has decided whether this file system may hold a token.
	policy := tokenfile.Policy{UID: r.Token.UID, GID: r.Token.GID, RequireTmpfs: false}
	if secret, err = tokenfile.Read(dir, tokenfile.Name, policy); err != nil {
		return nil, r, &tokenError{tokenReason(err), path, err}
	}
	return secret, r, nil
}

// identifyToken compares the file with the one that PID 1 installed. It tries
// several times, because a rotation changes the file and, an instant later, the
// record.
func (a *app) identifyToken(dir *os.File, path string) (status.Record, error) {
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for try := 0; ; try++ {
		r, err := status.Read(dir, a.owner)
		if err != nil {
			reason := tokenNotReadable
			if errors.Is(err, fs.ErrNotExist) {
				reason = tokenNotRunning
			}
			return r, &tokenError{reason, path, err}
		}
		if c := a.checkSupervisor(&r); c.result != status.Held {
			return r, &tokenError{tokenNotRunning, path, errors.New(c.detail)}
		}
		if r.Token.Inode != 0 && r.Token.UID != a.owner {
			return r, &tokenError{tokenChanged, path, fmt.Errorf("the record names uid %d as its owner, not %d", r.Token.UID, a.owner)}
		}
		c := a.checkToken(dir, &r)
		switch {
		case c.result == status.Held:
			return r, nil
		case c.result == status.NotAvailable:
			return r, &tokenError{tokenNotReadable, path, errors.New(c.detail)}
		case try >= a.tokenTries:
			return r, &tokenError{tokenFileReason(dir), path, errors.New(c.detail)}
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
