// SPDX-License-Identifier: Apache-2.0

package lifecycle

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/gateway-init/gateway-init/internal/status"
	"github.com/gateway-init/gateway-init/tests/harness"
)

// TestAnswerThatIsNotUnderstoodEndsNoGateway checks that an answer that PID 1 does not
// understand, or does not want to read, is no reason to end a gateway. A gateway whose
// status page had grown beyond 64 KiB was replaced every two minutes, on the busiest day
// first.
func TestAnswerThatIsNotUnderstoodEndsNoGateway(t *testing.T) {
	for name, c := range map[string]struct {
		m    object
		text string
	}{
		"a-page":          {object{"answer": "page"}, "not a JSON object"},
		"endless-body":    {object{"answer": "endless"}, "64 KiB"},
		"endless-headers": {object{"answer": "headers"}, "16 KiB"},
		"no-http":         {object{"answer": "garbage"}, "not HTTP/1.1"},
		"404":             {object{"status": 404}, "GET /health: it answered with status 404"},
	} {
		t.Run("served-then-"+name, func(t *testing.T) {
			t.Parallel()
			b := harness.Start(t, harness.Options{Config: quick(nil)})
			old := b.WaitServing(serveBy)
			b.Misbehave(c.m)
			checks(t, b, 8)
			now := b.Status()
			if now.Gateway.Process != old.Gateway.Process || now.Crashes != 0 || now.Health.Failures != 0 {
				t.Errorf("it was replaced, or the answer counts: %+v, %d crashes", now.Health, now.Crashes)
			}
			if now.Reason != "unproven" || !strings.Contains(now.Detail, c.text) {
				t.Errorf("the status says %s: %s", now.Reason, now.Detail)
			}
			want(t, "health", b.Ctl("health"), 4, c.text)
		})
	}
	t.Run("never-served", func(t *testing.T) {
		t.Parallel()
		b := harness.Start(t, harness.Options{Misbehave: object{"answer": "garbage"}, Config: quick(object{
			"ready": object{"timeout": "1s", "give_up": "2s"}})})
		first := b.WaitStatus(serveBy, "a start", func(v harness.View) error {
			if v.Record == nil || v.Record.Gateway.PID == 0 || len(events(t, b, 0, "not-ready-in-time")) == 0 {
				return fmt.Errorf("not yet")
			}
			return nil
		}).Gateway
		harness.Eventually(t, serveBy, "ready.give_up", func() error {
			if first.StartedAt == nil || time.Since(*first.StartedAt) < 6*time.Second {
				return fmt.Errorf("not yet")
			}
			return nil
		})
		if now := b.Status(); now.Gateway.Process != first.Process || now.State != status.Starting {
			t.Errorf("it was ended: %+v", now.Gateway)
		}
	})
}

// checks waits for some health checks.
func checks(t *testing.T, b *harness.Container, n int) {
	t.Helper()
	at := func(r status.Record) string { return fmt.Sprint(r.Health.At) }
	for range n {
		last := at(b.Status())
		b.WaitStatus(serveBy, "another health check", func(v harness.View) error {
			if v.Record == nil || at(*v.Record) == last {
				return fmt.Errorf("none yet")
			}
			return nil
		})
	}
}
