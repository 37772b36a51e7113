// SPDX-License-Identifier: Apache-2.0

package operate

import (
	"context"
	"errors"
	"os"
	"testing"

	"github.com/gateway-init/gateway-init/internal/config"
	"github.com/gateway-init/gateway-init/tokenfile"
)

func TestTokenReason(t *testing.T) {
	tests := map[error]string{
		tokenfile.ErrEmpty: tokenEmpty, tokenfile.ErrMalformed: tokenMalformed, tokenfile.ErrMissing: tokenChanged,
		tokenfile.ErrUnsafe: tokenChanged, tokenfile.ErrUnreadable: tokenNotReadable, os.ErrInvalid: tokenNotReadable,
	}
	for err, want := range tests {
		if got := tokenReason(err); got != want {
			t.Errorf("%v: %s, want %s", err, got, want)
		}
	}
}

// TestDumpableProcessGetsNoToken checks that a process that others could dump does not
// have the token, and that it neither reads the file nor starts the process that would.
func TestDumpableProcessGetsNoToken(t *testing.T) {
	l := &Local{Hardened: os.ErrPermission}
	l.Config = func() (*config.Config, error) { t.Error("it looked for the supervisor"); return nil, os.ErrNotExist }
	l.Defaults = func() []string { t.Error("it looked for the file"); return nil }
	for name, o := range map[string]Operator{"own": l, "external": External{local: l}} {
		var refused *TokenError
		if _, err := o.Token(context.Background()); !errors.As(err, &refused) || refused.reason != tokenNotReadable {
			t.Errorf("%s: %v", name, err)
		}
	}
}
