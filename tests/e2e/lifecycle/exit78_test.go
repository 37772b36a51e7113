// SPDX-License-Identifier: Apache-2.0

package lifecycle

import (
	"fmt"
	"strings"
	"testing"

	"github.com/gateway-init/gateway-init/internal/status"
	"github.com/gateway-init/gateway-init/tests/harness"
)

// A gateway whose exit code means "my configuration is invalid" was started again
// and again, and status did not say that.
func TestExit78(t *testing.T) {
	t.Parallel()
	const text = "its own configuration is invalid, or its state or lock directory belongs to another; see docker logs"
	c := harness.Start(t, harness.Options{
		Misbehave: object{"start_exit": 78},
		Config:    gatewayConfig(object{"restart": object{"hold_codes": []int{78}, "exit_texts": object{"78": text}}}),
	})
	said := "the gateway ended with exit code 78 (" + text + "); the next try is after 30s, gatewayctl recover tries at once"
	r := c.WaitStatus(serveBy, "the exit code in words", func(v harness.View) error {
		if v.Record.State != status.Backoff || v.Reason != "exited" || v.Detail != said {
			return fmt.Errorf("%s, %s: %s", v.Record.State, v.Reason, v.Detail)
		}
		return nil
	})
	if r.Backoff == nil || r.Backoff.DelayMS != 30000 || r.LastExit == nil || r.LastExit.Code != 78 || r.LastExit.Text != text {
		t.Errorf("backoff %+v, last exit %+v", r.Backoff, r.LastExit)
	}
	want(t, "status", c.Ctl("status").Unwrapped(), 4, "BACKOFF       exited: "+said, "exited with code 78 ("+text+")")
	want(t, "health", c.Ctl("health"), 4, said)
	want(t, "recover", c.Ctl("recover"), 1, "cannot recover: exited: "+said, "docker logs")
	found := events(t, c, 2, "backoff")
	if len(found) != 2 || found[0].Detail != said || found[0].Delay != "30s" {
		t.Errorf("logged %+v", found)
	}
	c.SetMisbehave(nil)
	want(t, "recover", c.Ctl("recover"), 0, "started: pid")
	if r := c.WaitServing(0); r.Detail != "" || !strings.Contains(r.LastExit.Text, "invalid") {
		t.Errorf("detail %q, last exit %+v", r.Detail, r.LastExit)
	}
}
