// SPDX-License-Identifier: Apache-2.0

// Package image tests the built images themselves.
package image

import (
	"archive/tar"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gateway-init/gateway-init/tests/harness"
)

// The image has settings for the engine. Without them docker stop sends another
// signal, and the engine does not notice a gateway that is down.
func TestImageSettings(t *testing.T) {
	r := harness.Engine(t, nil, "image", "inspect", harness.DemoImage)
	if r.Code != 0 {
		t.Fatal(r)
	}
	var images []struct {
		Os     string
		Config struct {
			Entrypoint, Cmd, Env []string
			StopSignal, User     string
			Healthcheck          struct {
				Test        []string
				StartPeriod time.Duration
			}
		}
	}
	if err := json.Unmarshal([]byte(r.Stdout), &images); err != nil || len(images) != 1 {
		t.Fatalf("inspect: %v", err)
	}
	c := images[0].Config
	if !slices.Equal(c.Entrypoint, []string{"/usr/local/sbin/gateway-init"}) || len(c.Cmd) != 0 || c.User != "" {
		t.Errorf("entrypoint %q, command %q, user %q", c.Entrypoint, c.Cmd, c.User)
	}
	if c.StopSignal != "SIGTERM" || !slices.Equal(c.Healthcheck.Test, []string{"CMD", "/usr/local/bin/gatewayctl", "health"}) ||
		c.Healthcheck.StartPeriod != 120*time.Second {
		t.Errorf("stop signal %q, health check %+v", c.StopSignal, c.Healthcheck)
	}
	for _, kv := range c.Env {
		if !strings.HasPrefix(kv, "PATH=/usr/local/sbin:") {
			t.Errorf("the image sets %s", kv)
		}
	}
}

// Owners and modes are half of the protection. A user who can change a file or a
// directory that the gateway is started from gets its token.
func TestImageFiles(t *testing.T) {
	want := map[string]int64{
		"usr/local/sbin/gateway-init": 0o711, "usr/local/bin/gatewayctl": 0o700,
		"etc/gateway-init/config.json": 0o644, "etc/passwd": 0o644, "etc/group": 0o644,
	}
	for files := tar.NewReader(bytes.NewReader(export(t))); ; {
		h, err := files.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		name := strings.TrimPrefix(h.Name, "./")
		if h.Mode&0o6000 != 0 {
			t.Errorf("%s is setuid or setgid", name)
		}
		if h.Mode&0o002 != 0 && h.Mode&0o1000 == 0 && h.Typeflag != tar.TypeSymlink && h.Typeflag != tar.TypeChar {
			t.Errorf("%s is writable by everybody (mode %o)", name, h.Mode)
		}
		for key := range h.PAXRecords {
			if strings.Contains(key, "security.capability") {
				t.Errorf("%s has file capabilities", name)
			}
		}
		if mode, ok := want[name]; ok {
			delete(want, name)
			if h.Mode&0o7777 != mode || h.Uid != 0 || h.Gid != 0 || h.Typeflag != tar.TypeReg {
				t.Errorf("%s: mode %o of %d:%d", name, h.Mode, h.Uid, h.Gid)
			}
		}
	}
	if len(want) != 0 {
		t.Errorf("the image lacks %v", want)
	}
}

// The engine's health of the container follows the gateway.
func TestHealthcheck(t *testing.T) {
	t.Parallel()
	c := harness.Start(t, harness.Options{Extra: []string{"--health-interval", "1s", "--health-retries", "2", "--health-start-period", "0s"}})
	c.WaitServing(30 * time.Second)
	wait := func(want string) {
		t.Helper()
		harness.Eventually(t, 60*time.Second, "the engine to say "+want, func() error {
			var state struct {
				State struct{ Health struct{ Status string } }
			}
			c.Inspect(&state)
			if got := state.State.Health.Status; got != want {
				return fmt.Errorf("it says %q", got)
			}
			return nil
		})
	}
	wait("healthy")
	c.MustCtl("stop")
	wait("unhealthy")
	c.MustCtl("start")
	wait("healthy")
}
