// SPDX-License-Identifier: Apache-2.0

package operate

import (
	"errors"
	"os"
	"testing"

	"github.com/gateway-init/gateway-init/gatewayctl/external"
	"github.com/gateway-init/gateway-init/internal/procfs"
	"github.com/gateway-init/gateway-init/internal/reason"
	"github.com/gateway-init/gateway-init/internal/status"
)

// TestStillUnmanaged checks the last look before an unmanaged gateway is ended. If the
// gateway serves by now, it is ours. If the record cannot be read, nothing is ended.
func TestStillUnmanaged(t *testing.T) {
	mine := func(procfs.Snapshot) bool { return true }
	others := func(procfs.Snapshot) bool { return false }
	for name, c := range map[string]struct {
		now  View
		pid  int
		want reason.Reason // "": none
	}{
		"stranger":  {View{owns: others}, 0, ""},
		"serves":    {View{PID: 7, owns: mine, Verdict: Verdict{Serving: true}}, 7, ""},
		"ours":      {View{owns: mine}, 0, reason.NotPermitted},
		"no-record": {View{Verdict: Verdict{Detail: "gone"}}, 0, reason.Unproven},
	} {
		pid, err := stillUnmanaged(c.now, procfs.Snapshot{PID: 9})
		f := &external.Failure{}
		if errors.As(err, &f); pid != c.pid || f.Reason != c.want || (err == nil) != (c.want == "") {
			t.Errorf("%s: %d, %v", name, pid, err)
		}
	}
}

// TestInRecord checks that the processes in the record are ours, and no others.
func TestInRecord(t *testing.T) {
	r := status.Record{}
	const far = 1 << 29 // no pid
	r.Init.PID, r.Gateway.PID = far, far+1
	r.Sidecars = []status.Child{{PID: far + 2}}
	r.Command = &status.Child{PID: far + 3}
	ours := inRecord(&r)
	for pid := far; pid < far+4; pid++ {
		if !ours(procfs.Snapshot{PID: pid}) {
			t.Errorf("%d is not ours", pid)
		}
	}
	if ours(procfs.Snapshot{PID: os.Getpid()}) {
		t.Error("this process is ours")
	}
}
