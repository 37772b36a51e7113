// SPDX-License-Identifier: Apache-2.0

package verify

import (
	"bytes"
	"context"
	"errors"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/gateway-init/gateway-init/internal/config"
	"github.com/gateway-init/gateway-init/internal/testenv"
)

// Checks that a source cannot have, or that the caller did not ask for, fail no image.
var (
	notInRoot    = []string{"entrypoint", "image-user", "health", "stop-signal", "environment", "path", "history", "token-bytes", "gateway-not-readable"}
	notInArchive = []string{"release", "token-bytes", "probe-root", "gateway-not-readable"}
)

func TestGoodImages(t *testing.T) {
	for name, c := range map[string]struct {
		make    func(testing.TB) *fixture
		without []string // checks that this profile does not have
		notes   []string
	}{
		"demo":     {demo, []string{"execute-only", "gateway-code", "compilers", "placeholder", "pin"}, []string{"environ-readable"}},
		"openclaw": {openclaw, nil, []string{"environment-open-in-children"}},
		"hermes":   {hermes, []string{"execute-only", "gateway-code", "compilers", "placeholder", "pin"}, []string{"environ-readable", "environment-open-in-children"}},
	} {
		t.Run(name, func(t *testing.T) {
			f := c.make(t)
			good := func(how string, src Source, absent []string) {
				bad, all, r := result(t, src, f.options)
				if !r.OK || r.Profile != name || r.Schema != 1 {
					t.Errorf("%s: profile %s, ok %v, failed %v", how, r.Profile, r.OK, bad)
				}
				for _, n := range checkNames() {
					check, have := all[n]
					want := Held
					if slices.Contains(absent, n) {
						want = NotAvailable
					}
					if slices.Contains(c.notes, n) {
						want = Note
					}
					if have == slices.Contains(c.without, n) || have && check.Result != want {
						t.Errorf("%s: %s: %+v, want %s", how, n, check, want)
					}
				}
			}
			good("legacy", Archive(bytes.NewReader(f.legacy(t))), notInArchive)
			good("oci", Archive(bytes.NewReader(f.oci(t))), notInArchive)
			good("compressed", Archive(bytes.NewReader(compress(t, f.legacy(t)))), notInArchive)
			f.runs = true
			good("directory", Root(f.write(t)), notInRoot)
		})
	}
}

// TestShippedHermes checks that the configuration for Hermes fits its profile, with a
// published port.
func TestShippedHermes(t *testing.T) {
	text, err := os.ReadFile("../../image/profiles/hermes.json")
	testenv.Must(t, err)
	f := common(string(text), usual)
	f.base()["/usr/local/bin/hermes"] = file(0o755, "python")
	if bad, _, r := result(t, Archive(bytes.NewReader(f.legacy(t))), f.options); !r.OK || r.Profile != "hermes" {
		t.Errorf("profile %s, failed %v", r.Profile, bad)
	}
	f.base()[relayPath] = file(0o777, "relay")
	if bad, _, r := result(t, Archive(bytes.NewReader(f.legacy(t))), f.options); r.OK || !slices.Contains(bad, "relay") {
		t.Errorf("a relay that anybody may change was accepted, or for another reason: %v", bad)
	}
}

// TestImageWithoutAPublishedPort checks that an image needs no relay if it publishes no port,
// or passes the port's sockets to the gateway.
func TestImageWithoutAPublishedPort(t *testing.T) {
	for name, listen := range map[string]string{"unpublished": `"publish": {"port": 18789, "address": "*"},`, "passed": `"listen": {"port_env": "DEMO_PORT"}`} {
		f := demo(t)
		f.base()[config.DefaultFile] = replace(f.base()[config.DefaultFile], listen, map[string]string{"unpublished": "", "passed": `"listen": {"pass_fd": true}`}[name])
		if name == "unpublished" {
			f.base()[config.DefaultFile] = replace(f.base()[config.DefaultFile], `"port_env": "DEMO_PORT"`, `"port": 18789`)
		}
		delete(f.base(), relayPath)
		if bad, all, r := result(t, Archive(bytes.NewReader(f.legacy(t))), f.options); !r.OK || all["relay"].Result != NotAvailable {
			t.Errorf("%s: failed %v, relay %+v", name, bad, all["relay"])
		}
	}
}

// TestProfileIsNotGuessed checks that an ambiguous image needs --profile.
func TestProfileIsNotGuessed(t *testing.T) {
	for name, c := range map[string]struct {
		change func(f *fixture)
		want   string
	}{
		"unknown-name": {func(f *fixture) { f.options.Profile = "opencla" }, `there is no profile "opencla"`},
		"no-config":    {func(f *fixture) { delete(f.base(), config.DefaultFile) }, "config.json is missing"},
		"bad-config":   {func(f *fixture) { f.base()[config.DefaultFile] = file(0o644, "{}") }, "config.json:1:1"},
		"none": {func(f *fixture) {
			f.base()[config.DefaultFile] = replace(f.base()[config.DefaultFile], "/demogateway", "/mygateway")
		}, "fit 0 profiles"},
		"two": {func(f *fixture) {
			f.base()[config.DefaultFile] = replace(f.base()[config.DefaultFile], "OPENCLAW_GATEWAY_TOKEN", "API_SERVER_KEY")
		}, "fit 2 profiles"},
	} {
		t.Run(name, func(t *testing.T) {
			f := demo(t)
			c.change(f)
			r, err := Run(context.Background(), Archive(bytes.NewReader(f.legacy(t))), f.options)
			if !errors.As(err, new(*ProfileError)) || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), "--profile openclaw|hermes|demo") {
				t.Errorf("got %+v, %v; want %q", r, err, c.want)
			}
		})
	}
}

// checkNames returns the names of all checks.
func checkNames() (names []string) {
	for _, c := range checks() {
		names = append(names, c.name)
	}
	return names
}
