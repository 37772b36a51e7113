// SPDX-License-Identifier: Apache-2.0

package image

import (
	"strings"
	"testing"
)

// testShellProfile checks that a token's assignment is found in a layer of an image,
// also if a later layer removes the file, and in a build.
func testShellProfile(t *testing.T) {
	profile := file{"/etc/profile", 0o644, 0, 0, "umask 022\nexport OPENCLAW_GATEWAY_TOKEN=s3cret\n"}
	image, r := build(t, []file{profile}, `RUN ["/usr/local/bin/demotools", "rm", "/etc/profile"]`)
	if r.Code != 0 {
		t.Fatal(r)
	}
	code, report, stderr := verifyImage(t, nil, "--image", image)
	wantFailed(t, code, report, stderr, "token-assignments")
	if got := detail(report, "token-assignments"); !strings.Contains(got, "/etc/profile:2 in layer ") || strings.Contains(got, "s3cret") {
		t.Errorf("it says %q", got)
	}
	_, r = build(t, []file{profile}, `RUN ["/usr/local/bin/gatewayctl", "verify-image"]`)
	if r.Code == 0 || !strings.Contains(r.Stdout+r.Stderr, "FAIL  token-assignments ") {
		t.Errorf("it can be built: %v", r)
	}
}
