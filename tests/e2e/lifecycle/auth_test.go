// SPDX-License-Identifier: Apache-2.0

package lifecycle

import (
	"errors"
	"testing"

	"github.com/gateway-init/gateway-init/internal/status"
	"github.com/gateway-init/gateway-init/tests/harness"
)

// A gateway's own configuration can set another token, or none. Such a gateway is not
// reported as serving, but it is not ended either. gatewayctl says what to change.
func TestAuthMismatch(t *testing.T) {
	for mode, key := range map[string]string{"other": `gateway.auth.token there must be ""`, "none": `gateway.auth.mode there must be "token"`} {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			c := harness.Start(t, harness.Options{
				Misbehave: object{"token_mode": mode},
				Config:    gatewayConfig(object{"ready": object{"timeout": "3s"}}),
			})
			reason(status.Starting, "auth-mismatch")(t, c)
			first := c.Status().Gateway.Process
			// A gateway that does not serve is replaced after 4 times ready.timeout.
			harness.Eventually(t, serveBy, "fifteen seconds of the gateway's life", func() error {
				if r := c.Status(); r.UpdatedAt.Sub(*r.Gateway.StartedAt).Seconds() < 15 {
					return errors.New("not yet")
				}
				return nil
			})
			r := c.Status()
			if r.State != status.Starting || r.Gateway.Process != first || r.Crashes != 0 || r.Health.State != status.Unknown || r.Proof.Auth != status.Failed {
				t.Errorf("%s, gateway %+v, was %+v, %d crashes, health %+v, proof %+v", r.State, r.Gateway.Process, first, r.Crashes, r.Health, r.Proof)
			}
			const hint = `gateway.auth.token must be "" and gateway.auth.mode "token" (in the image build: gatewayctl config seal); then: gatewayctl restart`
			want(t, "health", c.Ctl("health"), 4, "auth-mismatch", key)
			want(t, "status", c.Ctl("status").Unwrapped(), 4, "auth-mismatch: ", key, hint)
			want(t, "probe", c.Ctl("probe"), 4, "cannot probe: auth-mismatch: ", key, hint)
			want(t, "restart", c.Ctl("restart"), 4, "cannot restart: auth-mismatch: ", key, hint)
			c.SetMisbehave(nil)
			want(t, "restart", c.Ctl("restart"), 0, "restarted: pid")
			checkProven(t, c.WaitServing(0))
		})
	}
}
