// SPDX-License-Identifier: Apache-2.0

package operate

import (
	"os"
	"testing"

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
