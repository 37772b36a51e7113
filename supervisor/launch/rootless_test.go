// SPDX-License-Identifier: Apache-2.0

package launch_test

import (
	"errors"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/gateway-init/gateway-init/internal/testenv"
)

// TestChildWithoutRoot checks that without root a child with our own user is started.
// No call sets its user, because the kernel would refuse it.
func TestChildWithoutRoot(t *testing.T) {
	if !testenv.Inside(t, 0) {
		return
	}
	asPID1(t)
	cat := program(t, "cat", "/proc/self/status")
	testenv.Must(t, errors.Join(unix.Setgroups(nil), unix.Setresgid(gateway, gateway, gateway), unix.Setresuid(gateway, gateway, gateway)))
	u := itoa(gateway)
	if got := output(t, cat); !strings.Contains(got, "\nUid:\t"+strings.Join([]string{u, u, u, u}, "\t")+"\n") {
		t.Errorf("its status:\n%s", got)
	}
}
