// SPDX-License-Identifier: Apache-2.0

package operate

import (
	"os"
	"strings"
	"testing"
	"time"

	"github.com/gateway-init/gateway-init/internal/procfs"
	"github.com/gateway-init/gateway-init/internal/reason"
	"github.com/gateway-init/gateway-init/internal/status"
	"github.com/gateway-init/gateway-init/internal/testenv"
)

// TestOldRecordIsNoDeadGateway checks that a gateway that is gone is doubtful if PID 1
// may have had no space to say so.
func TestOldRecordIsNoDeadGateway(t *testing.T) {
	l, _ := newLocal(t)
	l.Process = func(procfs.ID) error { return procfs.ErrGone }
	dir := testenv.Tmpfs(t, "size=8k")
	r := &status.Record{Gateway: status.Gateway{Process: status.Process{PID: 24}}, UpdatedAt: time.Unix(0, 0)}
	if c := l.checkGateway(dir, r)[0]; c.Reason != reason.IdentityChanged {
		t.Errorf("with space: %+v", c)
	}
	testenv.Must(t, os.WriteFile(testenv.Path(dir, "hog"), make([]byte, 8<<10), 0o600))
	want := "pid 24 is gone, and the record of 1970-01-01T00:00:00Z may be old"
	if c := l.checkGateway(dir, r)[0]; c.Result != status.Failed || c.Reason != reason.Unproven || !strings.HasPrefix(c.Detail, want) {
		t.Errorf("without: %+v", c)
	}
}
