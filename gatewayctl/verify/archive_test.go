// SPDX-License-Identifier: Apache-2.0

package verify

import (
	"archive/tar"
	"bytes"
	"context"
	"fmt"
	"path"
	"strings"
	"testing"

	"github.com/gateway-init/gateway-init/internal/fsafe"
	"github.com/gateway-init/gateway-init/internal/testenv"
)

// makeArchive returns an archive with these layers, lowest first, as tars.
func makeArchive(t testing.TB, layers ...[]byte) []byte {
	t.Helper()
	var members []member
	var order []string
	for i, l := range layers {
		order = append(order, fmt.Sprintf("%d/layer.tar", i))
		members = append(members, member{name: order[i], data: l})
	}
	return pack(t, append(members,
		member{name: "config.json", data: toJSON(t, map[string]any{"rootfs": rootFS(layers...)})},
		member{name: "manifest.json", data: toJSON(t, []map[string]any{{"Config": "config.json", "Layers": order}})}))
}

// headers returns a tar of entries without content.
func headers(t testing.TB, all ...*tar.Header) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, h := range all {
		testenv.Must(t, w.WriteHeader(h))
	}
	return b.Bytes()
}

func readAll(data []byte) (*image, *layerScan, error) {
	all, err := LoadProfiles()
	if err != nil {
		return nil, nil, err
	}
	s := newLayerScan(nil, all)
	im, err := readArchive(bytes.NewReader(data), s)
	return im, s, err
}

func (t *tree) String() string {
	var b strings.Builder
	t.walk(func(at string, n *node) { fmt.Fprintf(&b, "%s %v %04o %d %d\n", at, n.kind, n.mode, n.uid, n.links) })
	return b.String()
}

// TestLayers checks layers against the specification. A whiteout does not reduce the
// links of a file, because overlayfs keeps both names of a file in a lower layer.
func TestLayers(t *testing.T) {
	low := layerOf{"/a": dir(0o755, 1), "/a/x": file(0o644, "x"), "/a/y": file(0o600, "y"), "/b": file(0o644, "b"), "/c": entry{hard: "/b"}}
	for name, c := range map[string]struct {
		top  layerOf
		want string
	}{
		"nothing":          {layerOf{}, "/a d 0755 1 0\n/a/x f 0644 0 1\n/a/y f 0600 0 1\n/b f 0644 0 2\n/c f 0644 0 2\n"},
		"whiteout":         {layerOf{"/.wh.b": file(0, ""), "/a/.wh.nosuch": file(0, ""), "/a": dir(0o755, 1)}, "/a d 0755 1 0\n/a/x f 0644 0 1\n/a/y f 0600 0 1\n/c f 0644 0 2\n"},
		"of-a-folder":      {layerOf{"/.wh.a": file(0, "")}, "/b f 0644 0 2\n/c f 0644 0 2\n"},
		"and-again":        {layerOf{"/.wh.a": file(0, ""), "/a": dir(0o700, 2)}, "/a d 0700 2 0\n/b f 0644 0 2\n/c f 0644 0 2\n"},
		"opaque":           {layerOf{"/a": dir(0o755, 1), "/a/" + opaque: file(0, ""), "/a/0": file(0o644, "")}, "/a d 0755 1 0\n/a/0 f 0644 0 1\n/b f 0644 0 2\n/c f 0644 0 2\n"},
		"meta":             {layerOf{"/.wh..wh.plnk": file(0, "")}, "/a d 0755 1 0\n/a/x f 0644 0 1\n/a/y f 0600 0 1\n/b f 0644 0 2\n/c f 0644 0 2\n"},
		"new-mode":         {layerOf{"/a": dir(0o711, 3)}, "/a d 0711 3 0\n/a/x f 0644 0 1\n/a/y f 0600 0 1\n/b f 0644 0 2\n/c f 0644 0 2\n"},
		"file-over-folder": {layerOf{"/a": file(0o644, "")}, "/a f 0644 0 1\n/b f 0644 0 2\n/c f 0644 0 2\n"},
		"folder-over-file": {layerOf{"/b": dir(0o755, 0)}, "/a d 0755 1 0\n/a/x f 0644 0 1\n/a/y f 0600 0 1\n/b d 0755 0 0\n/c f 0644 0 2\n"},
		"no-parent":        {layerOf{"/n/m": file(0o644, ""), "/.wh.a": file(0, "")}, "/b f 0644 0 2\n/c f 0644 0 2\n/n d 0755 0 0\n/n/m f 0644 0 1\n"},
	} {
		t.Run(name, func(t *testing.T) {
			im, _, err := readAll(makeArchive(t, low.tar(t), c.top.tar(t)))
			testenv.Must(t, err)
			got := strings.NewReplacer("a regular file", "f", "a directory", "d").Replace(im.tree.String())
			if got = strings.TrimPrefix(got, "/ d 0755 0 0\n"); got != c.want {
				t.Errorf("got\n%swant\n%s", got, c.want)
			}
		})
	}
}

// TestEqualLayers checks that a layer that is listed twice, or is a link, is one layer.
func TestEqualLayers(t *testing.T) {
	l := layerOf{"/a": dir(0o755, 0), "/a/x": file(0o644, "x"), "/a/y": entry{hard: "/a/x"}}.tar(t)
	data := pack(t, []member{
		{name: "one/layer.tar", data: l}, {name: "two/layer.tar", link: "../one/layer.tar"},
		{name: "c.json", data: toJSON(t, map[string]any{"rootfs": rootFS(l, l, l)})},
		{name: "manifest.json", data: []byte(`[{"Config":"c.json","Layers":["one/layer.tar","two/layer.tar","one/layer.tar"]}]`)},
	})
	im, _, err := readAll(data)
	testenv.Must(t, err)
	if n := im.tree.at("/a/x"); n == nil || n.links != 2 || im.tree.at("/a/y") != n || im.layers != 3 {
		t.Errorf("got\n%v", im.tree)
	}
}

func TestArchiveRefuses(t *testing.T) {
	empty := layerOf{}.tar(t)
	one := func(h *tar.Header) []byte { return makeArchive(t, headers(t, h)) }
	text := func(members ...member) []byte { return pack(t, members) }
	manifest := func(text string) []byte { return pack(t, []member{{name: "manifest.json", data: []byte(text)}}) }
	index := func(text string) []byte { return pack(t, []member{{name: "index.json", data: []byte(text)}}) }
	good := demo(t).legacy(t)
	for name, c := range map[string]struct {
		data []byte
		want string
	}{
		"nothing":           {nil, "neither manifest.json nor index.json"},
		"no-tar":            {[]byte(strings.Repeat("x", 2000)), "cannot read archive: archive/tar"},
		"cut":               {good[:len(good)/2], "unexpected EOF"},
		"broken-gzip":       {[]byte("\x1f\x8bxxxxxxxxxxxxxxxxxxx"), "gzip"},
		"cut-gzip":          {compress(t, good)[:1000], "unexpected EOF"},
		"member-up":         {text(member{name: "../x", data: []byte("x")}), "leads out of the tree"},
		"no-manifest":       {text(member{name: "x", data: []byte("x")}), "docker save or podman save"},
		"manifest-no-json":  {manifest("{"), "manifest.json: unexpected end"},
		"two-images":        {manifest(`[{"Config":"a"},{"Config":"b"}]`), "it has 2 images: save one"},
		"no-images":         {manifest(`[]`), "it has 0 images"},
		"no-config":         {manifest(`[{"Config":"a.json"}]`), "the image config a.json is missing"},
		"config-array":      {text(member{name: "a", data: []byte("[]")}, member{name: "manifest.json", data: []byte(`[{"Config":"a"}]`)}), "the image config: json"},
		"layer-count":       {text(member{name: "a", data: []byte("{}")}, member{name: "manifest.json", data: []byte(`[{"Config":"a","Layers":["x"]}]`)}), "has 1 layers, the image config 0"},
		"layer-missing":     {text(member{name: "a", data: []byte(`{"rootfs":{"diff_ids":[""]}}`)}, member{name: "manifest.json", data: []byte(`[{"Config":"a","Layers":["x"]}]`)}), "x is missing"},
		"zstd":              {text(member{name: "x", data: []byte("\x28\xb5\x2f\xfdxxx")}, member{name: "a", data: []byte(`{"rootfs":{"diff_ids":[""]}}`)}, member{name: "manifest.json", data: []byte(`[{"Config":"a","Layers":["x"]}]`)}), "x is compressed with zstd"},
		"links-in-a-ring":   {text(member{name: "x", link: "y"}, member{name: "y", link: "x"}, member{name: "a", data: []byte(`{"rootfs":{"diff_ids":[""]}}`)}, member{name: "manifest.json", data: []byte(`[{"Config":"a","Layers":["x"]}]`)}), "x is missing"},
		"index-no-json":     {index("["), "index.json: unexpected end"},
		"huge-json":         {text(member{name: "manifest.json", data: []byte("[" + strings.Repeat(" ", maxJSON))}), "manifest.json is JSON of more than 4194304 bytes"},
		"member-bad-gzip":   {text(member{name: "x", data: []byte("\x1f\x8bxxxxxxxxxxxx")}), "/x: gzip"},
		"name-up":           {one(&tar.Header{Name: "a/../../b"}), "leads out of the tree"},
		"name-long":         {one(&tar.Header{Name: strings.Repeat("a/", 2049), Format: tar.FormatPAX}), "more than 4096 bytes"},
		"name-deep":         {one(&tar.Header{Name: strings.Repeat("a/", 257), Format: tar.FormatPAX}), "more than 256 levels deep"},
		"whiteout-of-none":  {one(&tar.Header{Name: ".wh."}), "removes nothing that can be"},
		"whiteout-of-dots":  {one(&tar.Header{Name: ".wh..."}), "removes nothing that can be"},
		"type":              {one(&tar.Header{Name: "x", Typeflag: tar.TypeCont}), `it is of type '7'`},
		"owner":             {one(&tar.Header{Name: "x", Uid: 1 << 32, Format: tar.FormatPAX}), "its owner is out of range"},
		"link-to-nothing":   {one(&tar.Header{Name: "x", Typeflag: tar.TypeLink, Linkname: "y"}), "/x is a hard link to /y, which is no file there"},
		"link-up":           {one(&tar.Header{Name: "x", Typeflag: tar.TypeLink, Linkname: "../y"}), "leads out of the tree"},
		"link-to-a-folder":  {makeArchive(t, headers(t, &tar.Header{Name: "d/", Typeflag: tar.TypeDir}, &tar.Header{Name: "x", Typeflag: tar.TypeLink, Linkname: "d"})), "no file there"},
		"below-a-link":      {makeArchive(t, layerOf{"/bin": symlink("usr/bin")}.tar(t), layerOf{"/bin/x": file(0o755, "")}.tar(t)), "/bin/x is below something that is no directory"},
		"below-a-file":      {makeArchive(t, layerOf{"/bin": file(0o755, "")}.tar(t), layerOf{"/bin/x/y": file(0o755, "")}.tar(t)), "is below something"},
		"root-is-a-file":    {one(&tar.Header{Name: "./"[:1], Typeflag: tar.TypeReg}), "is below something"},
		"broken-layer":      {makeArchive(t, append(headers(t, &tar.Header{Name: "x"}), []byte(strings.Repeat("y", 600))...)), "/0/layer.tar: archive/tar"},
		"cut-layer":         {makeArchive(t, headers(t, &tar.Header{Name: "x", Size: 100})), "unexpected EOF"},
		"endless-sparse":    {one(&tar.Header{Name: "x", Typeflag: tar.TypeReg, Size: maxBytes + 1, Format: tar.FormatPAX}), "the image is too large"},
		"empty-layer-alone": {makeArchive(t, empty), ""},
	} {
		t.Run(name, func(t *testing.T) {
			_, _, err := readAll(c.data)
			switch {
			case c.want == "":
				testenv.Must(t, err)
			case err == nil || !strings.HasPrefix(err.Error(), "cannot read ") || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "\n"):
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
}

// FuzzArchive checks that reading ends without a panic, and that accepted archives
// have clean, absolute names below directories only.
func FuzzArchive(f *testing.F) {
	// The seeds are small, because the fuzzer would spend its time on shrinking them.
	low, top := layerOf{"/a/x": file(0o644, "x"), "/l": symlink("a"), "/h": entry{hard: "/a/x"}}, layerOf{"/.wh.a": file(0, ""), "/b/" + opaque: file(0, "")}
	f.Add(makeArchive(f, low.tar(f)))
	f.Add(compress(f, makeArchive(f, low.tar(f), top.tar(f))))
	f.Add((&fixture{layers: []layerOf{low}}).oci(f))
	all := known(f)
	f.Fuzz(func(t *testing.T, data []byte) {
		s := newLayerScan(nil, all)
		s.budget = &budget{entries: 1000, held: 1 << 20, bytes: 1 << 22}
		im, err := readArchive(bytes.NewReader(data), s)
		if err != nil {
			return
		}
		im.tree.walk(func(at string, n *node) {
			if !path.IsAbs(at) || path.Clean(at) != at || strings.Contains(at, "\x00") || im.tree.at(at) != n {
				t.Fatalf("name %q", at)
			}
			if (n.kind == fsafe.Directory) != (n.below != nil) || n.kind != fsafe.Directory && n.links == 0 {
				t.Fatalf("%q: %+v", at, n)
			}
		})
		// All checks can be made of any accepted archive.
		for _, p := range all.Names() {
			if _, err := Run(context.Background(), Archive(bytes.NewReader(data)), Options{Profile: p}); err != nil {
				t.Fatal(err)
			}
		}
	})
}
