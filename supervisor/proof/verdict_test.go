// SPDX-License-Identifier: Apache-2.0

package proof

import (
	"strconv"
	"strings"
	"testing"

	"github.com/gateway-init/gateway-init/internal/reason"
)

// TestVerdicts checks that no verdict that the agent can cause by itself (a listener,
// a flood, a changed token file) is definite, and so ends a gateway.
func TestVerdicts(t *testing.T) {
	for v, want := range map[Verdict]struct {
		reason   reason.Reason
		definite bool
	}{
		OK:            {"", false},
		Refused:       {reason.ListenerMissing, true},
		Timeout:       {reason.HealthTimeout, true},
		Dropped:       {reason.HealthTimeout, true},
		AuthFailed:    {reason.HealthTimeout, true},
		BadBody:       {reason.HealthTimeout, true},
		ForeignPeer:   {reason.ListenerForeign, false},
		TokenRefused:  {reason.AuthMismatch, false},
		NoTokenNeeded: {reason.AuthMismatch, false},
		Unproven:      {reason.Unproven, false},
		TokenFailed:   {reason.TokenFailed, false},
		TokenChanged:  {reason.TokenChanged, false},
		Throttled:     {reason.Unproven, false},
		TooLong:       {reason.Unproven, false},
		NotHTTP:       {reason.Unproven, false},
		TLS:           {reason.Unproven, false},
		NotJSON:       {reason.Unproven, false},
		AuthUnclear:   {reason.Unproven, false},
		OtherListener: {reason.Unproven, false},

		statusVerdict(404): {reason.Unproven, false},
		statusVerdict(302): {reason.Unproven, false},
		statusVerdict(204): {reason.Unproven, false},
		statusVerdict(418): {reason.Unproven, false},
		statusVerdict(499): {reason.Unproven, false},
		statusVerdict(444): {reason.Unproven, false},
		statusVerdict(500): {reason.HealthTimeout, true},
		statusVerdict(530): {reason.HealthTimeout, true},
		statusVerdict(599): {reason.HealthTimeout, true},
		statusVerdict(600): {reason.Unproven, false},
		statusVerdict(999): {reason.Unproven, false},
	} {
		if v.Reason() != want.reason || v.Definite() != want.definite || v.String() == "" {
			t.Errorf("%d: reason %q, definite %v, %q", v, v.Reason(), v.Definite(), v.String())
		}
		if v != OK && !v.Reason().Valid() {
			t.Errorf("%d: reason %q is not of the closed set", v, v.Reason())
		}
		if back, ok := FromExit(int(v)); !ok || back != v {
			t.Errorf("%d came back as %d, %v", v, back, ok)
		}
	}
}

// TestFromExit checks that a worker that crashed, was killed or never began has not
// proven anything. Only our own exit codes are verdicts, and 0 is the only success.
func TestFromExit(t *testing.T) {
	verdicts := 0
	for code := -300; code <= 300; code++ {
		v, ok := FromExit(code)
		if ok {
			verdicts++
		}
		if v == OK && code != 0 || !ok && v != Unproven {
			t.Errorf("code %d reads as %d, %v", code, v, ok)
		}
		if ok && (code == 1 || code == 2 || code >= 126) {
			t.Errorf("code %d is also that of a crash or a re-exec child", code)
		}
	}
	if want := 19 + len(knownStatuses); verdicts != want {
		t.Errorf("%d verdicts, want %d", verdicts, want)
	}
}

// TestStatusVerdicts checks that an exit code names the status, and that only a server
// error is definite.
func TestStatusVerdicts(t *testing.T) {
	for status := 100; status < 1000; status++ {
		v := statusVerdict(status)
		named := v.status() == status
		if !v.IsAnswer() || v.Definite() != (status/100 == 5) || named != strings.Contains(v.String(), strconv.Itoa(status)) {
			t.Errorf("%d: %d, definite %v, %q", status, v, v.Definite(), v)
		}
	}
}
