// SPDX-License-Identifier: Apache-2.0

package openclaw

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gateway-init/gateway-init/tests/harness"
)

// BenchmarkReady measures the time from docker run to the gateway's own "ready", in
// turns with the vendor's command and with gateway-init as PID 1. It also gives the
// time that gateway-init takes before it forks the gateway:
//
//	go test ./tests/e2e/openclaw -run '^$' -bench Ready -benchtime 5x
func BenchmarkReady(b *testing.B) {
	needImage(b)
	var vendor, ours, boot []float64
	for range b.N {
		vendor = append(vendor, readyAfter(b, vendorAlone()))
		o := harness.Options{Image: harness.OpenClawImage, NoState: true, Flags: flags(),
			Extra: []string{"--network", "none"}, Env: map[string]string{"OPENCLAW_OFFLINE": "1"}}
		begin := time.Now()
		c := harness.Start(b, o)
		waitReady(b, c)
		ours = append(ours, time.Since(begin).Seconds())
		r := c.WaitServing(ready)
		boot = append(boot, r.Gateway.StartedAt.Sub(r.StartedAt).Seconds()*1000)
		harness.Engine(b, nil, "rm", "-f", "-v", c.Name)
	}
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(median(vendor), "vendor-s")
	b.ReportMetric(median(ours), "ours-s")
	b.ReportMetric(median(boot), "boot-ms")
	b.Logf("vendor %.1f, ours %.1f, boot %.2f ms", vendor, ours, boot)
}

// vendorAlone runs the gateway as PID 1 of the container, as the vendor's image
// does, but without tini.
func vendorAlone() harness.Options {
	return harness.Options{
		Image: harness.OpenClawImage, NoState: true,
		Flags: append(flags(), "--user", "9001:9001", "--tmpfs", "/tmp/openclaw-gateway:uid=9001,gid=9001,mode=0700",
			"--entrypoint", "/usr/local/bin/node", "--network", "none", "--no-healthcheck"),
		Env: map[string]string{
			"HOME": "/var/lib/openclaw", "TMPDIR": "/tmp/openclaw-gateway", "OPENCLAW_STATE_DIR": "/var/lib/openclaw",
			"OPENCLAW_CONFIG_PATH": "/etc/openclaw/openclaw.json", "OPENCLAW_CONFIG_READONLY": "1", "OPENCLAW_SUPERVISOR_MODE": "external",
			"OPENCLAW_DISABLE_BONJOUR": "1", "OPENCLAW_NO_AUTO_UPDATE": "1", "OPENCLAW_OFFLINE": "1", "NODE_OPTIONS": "--disable-sigusr1",
			tokenEnv: strings.Repeat("ab", 32),
		},
		Args: []string{"/usr/local/lib/node_modules/openclaw/openclaw.mjs", "gateway", "run", "--auth", "token"},
	}
}

func readyAfter(b *testing.B, o harness.Options) float64 {
	b.Helper()
	begin := time.Now()
	c := harness.Start(b, o)
	waitReady(b, c)
	took := time.Since(begin).Seconds()
	harness.Engine(b, nil, "rm", "-f", "-v", c.Name)
	return took
}

func waitReady(b *testing.B, c *harness.Container) {
	b.Helper()
	harness.Eventually(b, ready, "ready", func() error {
		if r := c.HTTP("GET", "/readyz", "", ""); r.Err != nil || !strings.Contains(r.Body, `"ready":true`) {
			return errors.Join(errors.New("not yet"), r.Err)
		}
		return nil
	})
}

func median(values []float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	return sorted[len(sorted)/2]
}
