// SPDX-License-Identifier: Apache-2.0

package faults

import (
	"testing"
	"time"

	"github.com/gateway-init/gateway-init/tests/ns/box"
)

// TestRepliesFitTheReadmesTmpfs checks that all kept answers, one file each, fit
// into a runtime directory of the README's size.
func TestRepliesFitTheReadmesTmpfs(t *testing.T) {
	b := box.Start(t, box.Options{Config: quiet, Mounts: []box.Mount{{At: "/run", Data: "mode=0755"}, {At: box.Runtime, Data: "mode=0711,size=1m"}}})
	b.WaitServing(10 * time.Second)
	for i := range 600 {
		if r := b.Ctl("probe", "--timeout", "10s"); r.Code != 0 {
			t.Fatalf("request %d: %v", i, r)
		}
	}
	b.MustCtl("restart", "--rotate-token")
}
