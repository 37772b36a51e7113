// SPDX-License-Identifier: Apache-2.0

package main

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/gateway-init/gateway-init/gatewayctl/seal"
	"github.com/gateway-init/gateway-init/gatewayctl/verify"
)

// savedImage returns a docker save of an image that has only the demo's configuration.
func savedImage(t *testing.T) []byte {
	t.Helper()
	config, err := os.ReadFile("../image/demo/config.json")
	must(t, err)
	pack := func(names ...string) []byte { // name, content, name, content
		var b bytes.Buffer
		w := tar.NewWriter(&b)
		for i := 0; i < len(names); i += 2 {
			must(t, w.WriteHeader(&tar.Header{Name: names[i], Size: int64(len(names[i+1])), Mode: 0o644, Typeflag: tar.TypeReg}))
			_, err := w.Write([]byte(names[i+1]))
			must(t, err)
		}
		must(t, w.Close())
		return b.Bytes()
	}
	layer := pack("etc/gateway-init/config.json", string(config), "opt/\x1b[31mred", hexToken)
	image := fmt.Sprintf(`{"rootfs":{"diff_ids":["sha256:%x"]}}`, sha256.Sum256(layer))
	return pack("l.tar", string(layer), "c.json", image, "manifest.json", `[{"Config":"c.json","Layers":["l.tar"]}]`)
}

func TestVerifyImage(t *testing.T) {
	w := newFixture(t)
	w.app.in = bytes.NewReader(savedImage(t))
	w.want(w.run("verify-image", "--archive", "-"), exitFailed, "ok    config          gateway /usr/local/bin/demogateway on a random port, published on port 18789 of *\n", "checks: init, ctl, hashes, ")
	if out := w.out.String(); !strings.Contains(out, "\nFAIL  init            /usr/local/sbin/gateway-init is missing\n") ||
		!strings.Contains(out, "\nn/a   token-bytes     no token was given") || !strings.HasSuffix(w.err.String(), "hint: docs/image.md says what each check is for\n") {
		t.Errorf("printed\n%s%s", out, w.err.String())
	}

	file := t.TempDir() + "/saved.tar"
	must(t, os.WriteFile(file, savedImage(t), 0o600))
	w.app.in = strings.NewReader(hexToken + "\n")
	w.want(w.run("verify-image", "--archive", file, "--token-stdin", "--expect-sha256", "gatewayctl="+hexToken), exitFailed, "FAIL  token-bytes     bytes of the token: opt/?[31mred in layer l.tar\n", "checks: ")
	w.want(w.run("verify-image", "--archive", file, "--profile", "openclaw", "--json"), exitFailed, `{"schema":1,"profile":"openclaw","ok":false,"checks":[{"name":"tree","result":"held","detail":`, "checks: ")
	var got verify.Report
	must(t, json.Unmarshal(w.out.Bytes(), &got))
	all, err := verify.Run(t.Context(), verify.Root(t.TempDir()), verify.Options{Profile: "openclaw"}) // its profile has every check
	must(t, err)
	if got.Schema != 1 || got.OK || got.Profile != "openclaw" || len(all.Checks) == 0 || len(got.Checks) != len(all.Checks) || strings.Count(w.out.String(), "\n") != 1 {
		t.Errorf("JSON is %+v", got)
	}
}

// TestVerifyImageIsClean checks that a name in an image is made safe for the terminal.
func TestVerifyImageIsClean(t *testing.T) {
	w := newFixture(t)
	r := verify.Report{OK: true, Checks: []verify.Check{{Name: "tree", Result: verify.Held, Detail: "/\x1b[31mred\nok  all"}}}
	w.want(w.showImage(r, false), exitOK, "ok    tree            /?[31mred?ok  all\n", "")
}

func TestVerifyImageCannotRead(t *testing.T) {
	w := newFixture(t)
	must(t, os.WriteFile(w.path+"/x", []byte("x"), 0o600))
	for name, args := range map[string][]string{
		"no-such-root":   {"--root", w.path + "/nowhere"},
		"no-such-file":   {"--archive", w.path + "/nowhere"},
		"no-archive":     {"--archive", w.path + "/x"},
		"no-engine":      {"--image", "x"}, // no PATH
		"stdin-no-image": {"--archive", "-"},
	} {
		t.Run(name, func(t *testing.T) {
			w.app.in = strings.NewReader("")
			w.want(w.run(append([]string{"verify-image"}, args...)...), exitRefused, "", "cannot ")
		})
	}
}

// TestOwnDigest checks that inside the image this program must be the image's gatewayctl.
func TestOwnDigest(t *testing.T) {
	w := newFixture(t)
	o := imageArgs{Options: verify.Options{Sums: map[string]string{}}}
	if _, _, err := w.imageSource(&o); err != nil || len(o.Sums["gatewayctl"]) != 64 {
		t.Errorf("%v, %v", o.Sums, err)
	}
	o.Sums["gatewayctl"] = hexToken
	o.kind, o.value = "root", "/"
	if _, _, err := w.imageSource(&o); err != nil || o.Sums["gatewayctl"] != hexToken {
		t.Errorf("%v, %v", o.Sums, err)
	}
	other := imageArgs{Options: verify.Options{Sums: map[string]string{}}, kind: "root", value: "/x"}
	if _, _, err := w.imageSource(&other); err != nil || len(other.Sums) != 0 {
		t.Errorf("%v, %v", other.Sums, err)
	}
}

// TestHelpHasTheProfiles checks that the help has the names in image/profiles.
func TestHelpHasTheProfiles(t *testing.T) {
	w := newFixture(t)
	w.want(w.run("help", "verify-image"), exitOK, "\n  --profile NAME  openclaw, hermes", "")
	known, err := verify.LoadProfiles()
	must(t, err)
	_, list, _ := strings.Cut(w.out.String(), "\n  --profile NAME  ")
	list, _, _ = strings.Cut(list, " (default: the configuration decides)\n")
	if strings.Count(list, " or ") != 1 || strings.Replace(list, " or ", ", ", 1) != strings.Join(known.Names(), ", ") {
		t.Errorf("the profiles are %q", list)
	}
	w.want(w.run("help", "config", "seal"), exitOK, "\n  --file FILE  default: /etc/openclaw/openclaw.json\n", "")
	for _, text := range []string{"\nconfiguration. It sets gateway.auth.token to \"\" and changes no other byte.", "\ngateway.auth.mode than \"token\", or a file"} {
		if !strings.Contains(w.out.String(), text) {
			t.Errorf("no %q in\n%s", text, w.out.String())
		}
	}
}

func TestConfigSeal(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root")
	}
	w := newFixture(t)
	root := t.TempDir()
	own := root + "/etc/openclaw/openclaw.json"
	seal1 := []string{"config", "seal", "--root", root}
	w.want(w.run(seal1...), exitFailed, "", "write the configuration and /etc/gateway-init into the image first")
	must(t, os.MkdirAll(root+"/etc/openclaw", 0o755))
	must(t, os.MkdirAll(root+"/etc/gateway-init", 0o755))
	must(t, os.WriteFile(own, []byte("{ // mine\n}"), 0o644))
	w.want(w.run(seal1...), exitRefused, "", "cannot seal /etc/openclaw/openclaw.json: 1:3: ")
	must(t, os.WriteFile(own, []byte(`{"gateway":{"auth":{"token":"x"}}}`), 0o644))
	must(t, os.WriteFile(own+".bak", []byte(`{"gateway":{"auth":{"token":"x"}}}`), 0o644))
	w.want(w.run(seal1...), exitOK, "openclaw.json: gateway.auth.token is empty now\nremoved openclaw.json.bak (gateway.auth.token is set)\nsha256 ", "")
	if !strings.HasSuffix(w.out.String(), " is pinned now in "+seal.PinFile+"\n") {
		t.Errorf("printed %q", w.out.String())
	}
	w.want(w.run(seal1...), exitOK, "gateway.auth.token was empty already\nsha256 ", "")
	must(t, os.WriteFile(root+"/etc/other.json", []byte("{}"), 0o644))
	w.want(w.run(append(seal1, "--file", "/etc/other.json")...), exitOK, "/etc/other.json: gateway.auth.token is empty now", "")
	must(t, os.Mkdir(own+".new", 0o755))
	must(t, os.WriteFile(own, []byte("{}"), 0o644))
	w.want(w.run(seal1...), exitRefused, "", "openclaw.json.new")
}
