// SPDX-License-Identifier: Apache-2.0

package verify

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/gateway-init/gateway-init/internal/testenv"
)

// platformConfig returns an image config for a platform.
func (f *fixture) platformConfig(t testing.TB, os, architecture string, layers ...[]byte) []byte {
	return bytes.Replace(f.imageConfig(t, layers...), []byte(`"architecture":"amd64"`), fmt.Appendf(nil, `"architecture":%q`, architecture), 1)
}

// evil returns an image with a setuid program and another entrypoint.
func evil(t testing.TB) *fixture {
	f := demo(t)
	mode("/usr/bin/env", 0o4755)(f)
	f.config["Entrypoint"] = []string{"/usr/bin/env"}
	return f
}

// saved returns docker's manifest of blobs, as docker save writes it since version 25.
func saved(t testing.TB, config map[string]any, layers ...map[string]any) member {
	path := func(d map[string]any) string { return "blobs/" + strings.Replace(d["digest"].(string), ":", "/", 1) }
	var names []string
	for _, l := range layers {
		names = append(names, path(l))
	}
	return member{name: "manifest.json", data: toJSON(t, []map[string]any{{"Config": path(config), "Layers": names}})}
}

// bothManifests returns an archive whose manifest.json names the first image, and whose
// index.json the second one, as blobs.
func bothManifests(t testing.TB, first, second *fixture) []byte {
	o := &ociImage{t: t}
	firstLayers, secondLayers := first.tars(t), second.tars(t)
	config := o.blob(first.imageConfig(t, firstLayers...))
	var parts []map[string]any
	for _, l := range firstLayers {
		parts = append(parts, o.blob(compress(t, l)))
	}
	return o.pack([]any{o.image(second.imageConfig(t, secondLayers...), secondLayers...)}, saved(t, config, parts...))
}

// TestTwoManifestsMustNameOneImage checks the attack: docker reads manifest.json, and
// containerd reads index.json. The control is an archive in which both name the same
// image.
func TestTwoManifestsMustNameOneImage(t *testing.T) {
	if _, all, r := result(t, Archive(bytes.NewReader(bothManifests(t, demo(t), demo(t)))), Options{}); !r.OK {
		t.Errorf("the control fails: %+v", all)
	}
	for name, data := range map[string][]byte{
		"index-is-evil":    bothManifests(t, demo(t), evil(t)),
		"manifest-is-evil": bothManifests(t, evil(t), demo(t)),
	} {
		_, err := Run(context.Background(), Archive(bytes.NewReader(data)), Options{})
		if !errors.Is(err, errReaders) || !strings.Contains(err.Error(), "manifest.json and index.json name different images") {
			t.Errorf("%s: got %v", name, err)
		}
	}
	// The same config with fewer or other layers is another image too.
	o := &ociImage{t: t}
	f := demo(t)
	f.top()["/x"] = file(0o644, "")
	layers := f.tars(t)
	manifest := o.image(f.imageConfig(t, layers...), layers...)
	data := o.pack([]any{manifest}, saved(t, o.blob(f.imageConfig(t, layers...)), o.blob(compress(t, layers[1])), o.blob(compress(t, layers[0]))))
	if _, _, err := readAll(data); !errors.Is(err, errReaders) {
		t.Errorf("layers in another order: got %v", err)
	}
}

// TestPartsMustHaveTheirHashes checks that no part has other content than its name, or
// the image config, says.
func TestPartsMustHaveTheirHashes(t *testing.T) {
	f := demo(t)
	layers := f.tars(t)
	config := f.imageConfig(t, layers...)
	other := layerOf{"/x": file(0o4755, "")}.tar(t)
	docker := func(configName string, config, layer []byte) []byte {
		return pack(t, []member{{name: configName, data: config}, {name: "l.tar", data: layer},
			{name: "manifest.json", data: toJSON(t, []map[string]any{{"Config": configName, "Layers": []string{"l.tar"}}})}})
	}
	hash := strings.TrimPrefix(digest(config), sha256Prefix)
	o := &ociImage{t: t}
	manifest := o.image(config, layers...)
	for _, m := range o.members {
		spoilt := *o
		spoilt.members = slices.Clone(o.members)
		i := slices.IndexFunc(spoilt.members, func(n member) bool { return n.name == m.name })
		spoilt.members[i].data = append(slices.Clone(m.data), '\n')
		if _, _, err := readAll(spoilt.pack([]any{manifest})); err == nil || !strings.Contains(err.Error(), m.name) {
			t.Errorf("%s with another byte: got %v", m.name, err)
		}
	}
	for name, c := range map[string]struct {
		data []byte
		want string
	}{
		"control":          {docker("c.json", config, layers[0]), ""},
		"compressed":       {docker("c.json", config, compress(t, layers[0])), ""},
		"named-by-hash":    {docker(hash+".json", config, layers[0]), ""},
		"named-by-digest":  {docker("sha256:"+hash, config, layers[0]), ""},
		"other-layer":      {docker("c.json", config, other), "l.tar has other content than the image config says: its diff_id is sha256:"},
		"longer-layer":     {docker("c.json", config, append(slices.Clone(layers[0]), 0)), "its diff_id is sha256:"},
		"config-of-a-name": {docker(strings.Repeat("0", 64)+".json", config, layers[0]), ".json has the hash " + hash},
		"digest-of-others": {o.pack([]any{map[string]any{"digest": "sha512:" + hash}}), "is not sha256: and 64 hex digits"},
		"digest-too-short": {o.pack([]any{map[string]any{"digest": "sha256:../../manifest.json"}}), "is not sha256: and 64 hex digits"},
		"upper-case":       {o.pack([]any{map[string]any{"digest": strings.ToUpper(manifest["digest"].(string))}}), "is not sha256: and 64 hex digits"},
	} {
		t.Run(name, func(t *testing.T) {
			_, _, err := readAll(c.data)
			if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
}

// TestPlatforms checks which image of several is checked, and that the report names it
// and the others.
func TestPlatforms(t *testing.T) {
	here, elsewhere := runtime.GOARCH, "s390x"
	f := demo(t)
	layers := f.tars(t)
	on := func(o *ociImage, f *fixture, architecture string, named string) map[string]any {
		layers := f.tars(t)
		d := maps.Clone(o.image(f.platformConfig(t, "linux", architecture, layers...), layers...))
		if named != "" {
			d["platform"] = map[string]string{"os": "linux", "architecture": named}
		}
		return d
	}
	missing := map[string]any{"digest": digest([]byte("not here")), "platform": map[string]string{"os": "linux", "architecture": "riscv64"}}
	index := func(o *ociImage, descriptors ...any) any {
		return o.blob(toJSON(t, map[string]any{"manifests": descriptors}))
	}
	for name, c := range map[string]struct {
		make   func(o *ociImage) []any
		more   func(o *ociImage) []member
		tree   string // in the detail of the check tree
		result Result
		want   string // in the error
	}{
		"one":            {func(o *ociImage) []any { return []any{on(o, f, here, here)} }, nil, "1 layers, linux/" + here, Held, ""},
		"one-of-another": {func(o *ociImage) []any { return []any{on(o, f, elsewhere, elsewhere)} }, nil, "1 layers, linux/s390x", Held, ""},
		"two": {func(o *ociImage) []any {
			return []any{index(o, on(o, evil(t), elsewhere, elsewhere), on(o, f, here, here))}
		}, nil, "1 layers, linux/" + here + "; not checked: linux/s390x", Note, ""},
		"without-platform": {func(o *ociImage) []any { return []any{on(o, f, here, ""), on(o, f, elsewhere, "")} }, nil, "not checked: linux/s390x", Note, ""},
		"two-names":        {func(o *ociImage) []any { d := on(o, f, here, here); return []any{d, d} }, nil, "1 layers", Held, ""},
		"others-not-there": {func(o *ociImage) []any { return []any{index(o, missing, on(o, f, here, here), attestation())} }, nil, "1 layers, linux/" + here, Held, ""},
		"part-not-there": {func(o *ociImage) []any {
			absent := map[string]any{"digest": digest([]byte("absent")), "platform": map[string]string{"os": "linux", "architecture": elsewhere}}
			half := o.blob(toJSON(t, map[string]any{"config": o.blob(f.platformConfig(t, "linux", elsewhere, layers...)), "layers": []any{absent}}))
			return []any{half, on(o, f, here, here)}
		}, nil, "1 layers, linux/" + here, Held, ""},
		"artifact": {func(o *ociImage) []any {
			config := maps.Clone(o.blob([]byte("{}")))
			config["mediaType"] = "application/vnd.oci.empty.v1+json"
			return []any{on(o, f, here, here), o.blob(toJSON(t, map[string]any{"config": config, "layers": []any{o.blob([]byte(`{"signed": true}`))}}))}
		}, nil, "1 layers", Held, ""},
		"two-of-one-platform":   {func(o *ociImage) []any { return []any{on(o, f, here, here), on(o, evil(t), here, here)} }, nil, "", "", "it has 2 images (linux/" + here + ", linux/" + here + "): save one, of one platform"},
		"none-of-this-platform": {func(o *ociImage) []any { return []any{on(o, f, "s390x", ""), on(o, f, "riscv64", "")} }, nil, "", "", "it has 2 images (linux/s390x, linux/riscv64)"},
		"platform-of-another":   {func(o *ociImage) []any { return []any{on(o, f, here, elsewhere)} }, nil, "", "", "is for linux/s390x, and its config says linux/" + here},
		"all-missing":           {func(o *ociImage) []any { return []any{missing} }, nil, "", "", "the manifest " + digest([]byte("not here")) + " is missing"},
		"nothing":               {func(o *ociImage) []any { return []any{} }, nil, "", "", "index.json names no image"},
		"index-and-manifest": {func(o *ociImage) []any {
			return []any{o.blob(toJSON(t, map[string]any{"manifests": []any{on(o, f, here, here)}, "config": o.blob(f.imageConfig(t, layers...))}))}
		}, nil, "", "", "is a manifest and an index: two readers"},
		"too-deep": {func(o *ociImage) []any {
			d := any(on(o, f, here, here))
			for range 5 {
				d = index(o, d)
			}
			return []any{d}
		}, nil, "", "", "is an index in more than 3 others"},
		"too-many": {func(o *ociImage) []any {
			var all []any
			for i := range maxImages + 1 {
				all = append(all, map[string]any{"digest": digest(fmt.Append(nil, i))})
			}
			return all
		}, nil, "", "", "more than 64 manifests, in index.json"},
		"manifest-of-another-platform": {func(o *ociImage) []any { return []any{on(o, f, here, here), on(o, f, elsewhere, elsewhere)} },
			func(o *ociImage) []member {
				return []member{saved(t, o.blob(f.platformConfig(t, "linux", elsewhere, layers...)), o.blob(compress(t, layers[0])))}
			}, "", "", "manifest.json and index.json name different images"},
		"manifest-of-this-platform": {func(o *ociImage) []any { return []any{on(o, f, here, here), on(o, f, elsewhere, elsewhere)} },
			func(o *ociImage) []member {
				return []member{saved(t, o.blob(f.platformConfig(t, "linux", here, layers...)), o.blob(compress(t, layers[0])))}
			}, "not checked: linux/s390x", Note, ""},
	} {
		t.Run(name, func(t *testing.T) {
			o := &ociImage{t: t}
			descriptors := c.make(o)
			var more []member
			if c.more != nil {
				more = c.more(o)
			}
			r, err := Run(context.Background(), Archive(bytes.NewReader(o.pack(descriptors, more...))), Options{})
			if c.want != "" {
				if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "\n") {
					t.Errorf("got %+v, %v; want %q", r, err, c.want)
				}
				return
			}
			testenv.Must(t, err)
			if tree := r.Checks[0]; !r.OK || tree.Name != "tree" || tree.Result != c.result || !strings.Contains(tree.Detail, c.tree) {
				t.Errorf("got %+v", r.Checks)
			}
		})
	}
}

// TestNamesThatReadersTakeDifferently checks that an archive is refused if a reader that
// unpacks it gets other files than one that reads it once.
func TestNamesThatReadersTakeDifferently(t *testing.T) {
	f := demo(t)
	layers := f.tars(t)
	good := []member{{name: "c.json", data: f.imageConfig(t, layers...)}, {name: "l.tar", data: layers[0]},
		{name: "manifest.json", data: []byte(`[{"Config":"c.json","Layers":["l.tar"]}]`)}}
	if _, _, err := readAll(pack(t, good)); err != nil {
		t.Fatalf("the control fails: %v", err)
	}
	with := func(more ...member) []byte { return pack(t, append(slices.Clone(good), more...)) }
	for name, c := range map[string]struct {
		data []byte
		want string
	}{
		"twice":               {with(member{name: "./manifest.json", data: []byte("[]")}), "/manifest.json is in it twice"},
		"link-over-file":      {with(member{name: "c.json", link: "d.json"}), "/c.json is in it twice"},
		"file-over-link":      {with(member{name: "x", link: "c.json"}, member{name: "x", data: []byte("{}")}), "/x is in it twice"},
		"below-a-link":        {with(member{name: "d", link: "."}, member{name: "d/c.json", data: []byte("{}")}), "/d/c.json is below something that is no directory"},
		"below-a-later-link":  {with(member{name: "d/c.json", data: []byte("{}")}, member{name: "d", link: "."}), "/d/c.json is below something"},
		"link-below-a-file":   {with(member{name: "c.json/x", link: "y"}), "/c.json/x is below something"},
		"index-is-a-link":     {with(member{name: "index.json", link: "other.json"}), "/index.json is a link"},
		"layout-is-a-link":    {with(member{name: "oci-layout", link: "other.json"}), "/oci-layout is a link"},
		"repositories-alone":  {pack(t, []member{{name: "repositories", data: []byte("{}")}, {name: "index.json", data: []byte("{}")}}), "it has repositories and no manifest.json"},
		"hard-link":           {append(headers(t, &tar.Header{Name: "manifest.json", Typeflag: tar.TypeLink, Linkname: "c.json"}), pack(t, good)...), "/manifest.json is of type '1'"},
		"folder-and-manifest": {append(headers(t, &tar.Header{Name: "manifest.json/", Typeflag: tar.TypeDir}), pack(t, good)...), "/manifest.json is in it twice"},
	} {
		t.Run(name, func(t *testing.T) {
			if _, _, err := readAll(c.data); err == nil || !strings.HasPrefix(err.Error(), "cannot read archive: "+strings.TrimPrefix(c.want, " ")) {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
}
