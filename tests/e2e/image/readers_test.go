// SPDX-License-Identifier: Apache-2.0

package image

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/gateway-init/gateway-init/tests/harness"
)

// testReaders checks with the engine that it reads some layers as the refusal of
// verify-image says. That is the control of the refusal.
func testReaders(t *testing.T) {
	base := save(t, harness.DemoImage)
	header := func(name string, kind byte, mode int64, id int, link string) *tar.Header {
		return &tar.Header{Name: name, Typeflag: kind, Mode: mode, Uid: id, Gid: id, Linkname: link, Format: tar.FormatPAX}
	}
	for name, c := range map[string]struct {
		layer  []*tar.Header
		look   string
		engine string // what the engine has at look
		want   string // in the error; "" if the image is read
	}{
		"control":            {[]*tar.Header{header("a", tar.TypeReg, 0o755, 0, ""), header("b", tar.TypeLink, 0o755, 0, "a")}, "/a", " 0755 0:0 ", ""},
		"setuid-by-a-link":   {[]*tar.Header{header("a", tar.TypeReg, 0o755, 0, ""), header("b", tar.TypeLink, 0o4755, 0, "a")}, "/a", " 4755 0:0 ", "/b is a hard link with mode 4755 of 0:0 to /a"},
		"owner-by-a-link":    {[]*tar.Header{header("a", tar.TypeReg, 0o755, 0, ""), header("b", tar.TypeLink, 0o777, 9002, "a")}, "/a", " 0777 9002:9002 ", "/b is a hard link with mode 0777 of 9002:9002 to /a"},
		"home-that-it-opens": {[]*tar.Header{header("var/lib/gateway/new", tar.TypeReg, 0o600, 9001, "")}, "/var/lib/gateway", " 0755 0:0 ", "it changes /var/lib/gateway (mode 0700 of 9001:9001) and has no entry for it"},
	} {
		t.Run(name, func(t *testing.T) {
			image := harness.NewName(t) + ":latest"
			t.Cleanup(func() { harness.Engine(t, nil, "rmi", "-f", image) })
			data := withLayer(t, base, image, c.layer)
			if r := harness.Engine(t, data, "load"); r.Code != 0 {
				t.Fatal(r)
			}
			got := harness.Engine(t, nil, "run", "--rm", "--network", "none", "--entrypoint", "/usr/local/bin/demotools", image, "stat", c.look)
			if driver := harness.Engine(t, nil, "info", "-f", "{{.Driver}}").Stdout; !strings.Contains(got.Stdout, c.engine) && driver == "overlay2\n" {
				t.Errorf("the engine has %v, want %s", got, c.engine)
			}
			for _, source := range [][]string{{"--image", image}, {"--archive", "-"}} {
				code, report, stderr := verifyImage(t, data, source...)
				if c.want == "" && (code != 0 || !report.OK) || c.want != "" && (code != 3 || !strings.Contains(stderr, c.want) || !strings.Contains(stderr, "two readers could read this differently")) {
					t.Errorf("%v: exit code %d, %+v\n%s", source, code, report, stderr)
				}
			}
		})
	}
}

// withLayer returns a docker save with one more layer, as image.
func withLayer(t *testing.T, saved []byte, image string, entries []*tar.Header) []byte {
	t.Helper()
	var layer bytes.Buffer
	w := tar.NewWriter(&layer)
	for _, h := range entries {
		must(t, w.WriteHeader(h))
	}
	must(t, w.Close())
	members := map[string][]byte{}
	for r := tar.NewReader(bytes.NewReader(saved)); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		must(t, err)
		if h.Typeflag == tar.TypeReg {
			members[h.Name], err = io.ReadAll(r)
			must(t, err)
		}
	}
	var manifest []map[string]any
	must(t, json.Unmarshal(members["manifest.json"], &manifest))
	config := map[string]any{}
	must(t, json.Unmarshal(members[manifest[0]["Config"].(string)], &config))
	rootfs := config["rootfs"].(map[string]any)
	rootfs["diff_ids"] = append(rootfs["diff_ids"].([]any), fmt.Sprintf("sha256:%x", sha256.Sum256(layer.Bytes())))
	delete(config, "history")
	text, err := json.Marshal(config)
	must(t, err)
	manifest[0] = map[string]any{"Config": "new.json", "RepoTags": []string{image}, "Layers": append(manifest[0]["Layers"].([]any), "new.tar")}
	list, err := json.Marshal(manifest)
	must(t, err)
	var archive bytes.Buffer
	a := tar.NewWriter(&archive)
	for name, data := range members {
		if name != "manifest.json" && name != "repositories" && name != "index.json" && name != "oci-layout" {
			add(t, a, &tar.Header{Name: name, Mode: 0o644}, string(data))
		}
	}
	add(t, a, &tar.Header{Name: "new.tar", Mode: 0o644}, layer.String())
	add(t, a, &tar.Header{Name: "new.json", Mode: 0o644}, string(text))
	add(t, a, &tar.Header{Name: "manifest.json", Mode: 0o644}, string(list))
	must(t, a.Close())
	return archive.Bytes()
}
