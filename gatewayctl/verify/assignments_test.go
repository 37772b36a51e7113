// SPDX-License-Identifier: Apache-2.0

package verify

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/gateway-init/gateway-init/internal/config"
)

// inTexts returns changes to text files that give the token's variable a value.
func inTexts() map[string]map[string]breakage {
	const profile = "/etc/profile.d/gateway.sh"
	sidecar := swap(config.DefaultFile, `"operator": {`, `"sidecars": [{"name": "x", "command": ["/usr/bin/env"], "user": "operator", "token_env": "MY_PASSWORD"}],
		"operator": {`)
	return map[string]map[string]breakage{"token-assignments": {
		"profile":       {demo, put(profile, file(0o644, "# for the UI\nexport OPENCLAW_GATEWAY_TOKEN=s3cret\n")), nil, "build the layer again without: " + profile + ":2"},
		"bashrc":        {demo, put("/home/operator/.bashrc", file(0o600, "OPENCLAW_GATEWAY_TOKEN='s3cret' openclaw tui\n").owned(9003)), nil, "/home/operator/.bashrc:1"},
		"environment":   {demo, put("/etc/environment", file(0o644, "OPENCLAW_GATEWAY_TOKEN=s3cret\n")), nil, "(OPENCLAW_GATEWAY_TOKEN)"},
		"other-gateway": {demo, put("/var/lib/gateway/.env", file(0o600, "\n\nAPI_SERVER_KEY=s3cret\n").owned(9001)), nil, "/var/lib/gateway/.env:3"},
		"of-a-sidecar":  {demo, all(sidecar, put("/x.env", file(0o644, "MY_PASSWORD=s3cret\n"))), nil, "(MY_PASSWORD)"},
		"own-name":      {demo, all(swap(config.DefaultFile, "OPENCLAW_GATEWAY_TOKEN", "DEMO_SECRET"), put("/x", file(0o644, "set -x DEMO_SECRET s3cret\n"))), nil, "/x:1"},
		"in-a-package":  {openclaw, put(package_+"/.env", file(0o644, "OPENCLAW_GATEWAY_TOKEN="+strings.Repeat("0123456789abcdef", 4))), nil, package_ + "/.env:1"},
		"many": {demo, func(f *fixture) {
			f.base()["/x.env"] = file(0o644, strings.Repeat("OPENCLAW_GATEWAY_TOKEN=s3cret\n", 9))
		}, nil, "/x.env:5"},
	}}
}

// inLowerTexts returns changes to files that are not in the last layer.
func inLowerTexts() map[string]map[string]breakage {
	return map[string]map[string]breakage{"token-assignments": {
		"removed-later": {demo, addedAndRemoved("/etc/profile", "export OPENCLAW_GATEWAY_TOKEN=s3cret\n"), nil, "/etc/profile:1 in layer "},
		"replaced-later": {demo, func(f *fixture) {
			f.base()["/etc/profile"] = file(0o644, "OPENCLAW_GATEWAY_TOKEN=s3cret")
			f.top()["/etc/profile"] = file(0o644, "")
		}, nil, "/etc/profile:1 in layer "},
	}}
}

// TestExamplesOfThePackage checks that the examples that OpenClaw's own package has are
// no findings.
func TestExamplesOfThePackage(t *testing.T) {
	f := openclaw(t)
	for name, text := range map[string]string{
		"/docs/cli/onboard.md":          "export OPENCLAW_GATEWAY_TOKEN=\"your-token\"\n",
		"/docs/install/fly.md":          "fly secrets set OPENCLAW_GATEWAY_TOKEN=$(openssl rand -hex 32)\n",
		"/docs/install/docker.md":       "OPENCLAW_GATEWAY_TOKEN=<gateway-token>\n",
		"/dist/daemon-WyQM79AA.mjs":     "x = {\n\t\tOPENCLAW_GATEWAY_TOKEN: \"file\",\n}",
		"/dist/service-env.mjs":         "x = {\n\t\tOPENCLAW_GATEWAY_TOKEN: gatewayToken,\n\t\tA: void 0 }",
		"/dist/store.mjs":               "const GATEWAY_AUTH_TOKEN_STORE_NAME = \"OPENCLAW_GATEWAY_TOKEN\";\n",
		"/docs/gateway/environment.md":  "gateway: { auth: { token: \"${OPENCLAW_GATEWAY_TOKEN}\" } },\n",
		"/docs/help/environment.md":     "| `OPENCLAW_GATEWAY_TOKEN`    | Supply token authentication for Gateway servers |\n",
		"/docs/install/compose/example": "OPENCLAW_GATEWAY_TOKEN: changeme\n",
	} {
		f.base()[package_+name] = file(0o644, text)
	}
	if bad, all, r := result(t, Archive(bytes.NewReader(f.legacy(t))), f.options); !r.OK {
		t.Errorf("failed %v, %+v", bad, all["token-assignments"])
	}
}

// TestTokenNameThatAnArchiveIsNotSearchedFor checks that the report says so, and that a
// directory, whose configuration is read first, is searched.
func TestTokenNameThatAnArchiveIsNotSearchedFor(t *testing.T) {
	f := demo(t)
	all(swap(config.DefaultFile, "OPENCLAW_GATEWAY_TOKEN", "Gateway_Pin"), put("/x", file(0o644, "Gateway_Pin=s3cret\n")))(f)
	bad, checks, _ := result(t, Archive(bytes.NewReader(f.legacy(t))), f.options)
	if c := checks["token-assignments"]; len(bad) != 0 || c.Result != Note || !strings.Contains(c.Detail, "not searched for Gateway_Pin, because the name has none of TOKEN, KEY") {
		t.Errorf("failed %v, %+v", bad, c)
	}
	bad, checks, _ = result(t, Root(f.write(t)), f.options)
	if c := checks["token-assignments"]; fmt.Sprint(bad) != "[token-assignments]" || !strings.Contains(c.Detail, "/x:1 (Gateway_Pin)") {
		t.Errorf("failed %v, %+v", bad, c)
	}
}
