// SPDX-License-Identifier: Apache-2.0

package verify

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/gateway-init/gateway-init/internal/fsafe"
	"github.com/gateway-init/gateway-init/internal/testenv"
)

// tar returns one layer as a tar.
func (l layerOf) tar(t testing.TB) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, path := range l.inOrder() {
		e := l[path]
		h := &tar.Header{Name: path[1:], Mode: int64(e.mode), Uid: int(e.uid), Gid: int(e.gid), Format: tar.FormatPAX}
		switch e.kind {
		case fsafe.Directory:
			h.Typeflag, h.Name = tar.TypeDir, h.Name+"/"
		case link:
			h.Typeflag, h.Linkname = tar.TypeSymlink, e.data
		case fsafe.FIFO:
			h.Typeflag = tar.TypeFifo
		case character:
			h.Typeflag, h.Devmajor, h.Devminor = tar.TypeChar, 1, 3
		default:
			h.Typeflag, h.Size = tar.TypeReg, int64(len(e.data))
		}
		if e.hard != "" {
			h.Typeflag, h.Linkname, h.Size = tar.TypeLink, e.hard[1:], 0
			if to, ok := l[e.hard]; ok && e.mode == 0 {
				h.Mode, h.Uid, h.Gid = int64(to.mode), int(to.uid), int(to.gid) // as engines write it
			}
		}
		if e.capable {
			h.PAXRecords = map[string]string{xattrCapability: string(capability())}
		}
		testenv.Must(t, w.WriteHeader(h))
		if h.Typeflag == tar.TypeReg {
			_, err := w.Write([]byte(e.data))
			testenv.Must(t, err)
		}
	}
	testenv.Must(t, w.Close())
	return b.Bytes()
}

// member is a file of an archive.
type member struct {
	name string
	data []byte
	link string
}

func pack(t testing.TB, members []member) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, m := range members {
		h := &tar.Header{Name: m.name, Mode: 0o644, Size: int64(len(m.data)), Typeflag: tar.TypeReg}
		if m.link != "" {
			h.Typeflag, h.Linkname = tar.TypeSymlink, m.link
		}
		testenv.Must(t, w.WriteHeader(h))
		_, err := w.Write(m.data)
		testenv.Must(t, err)
	}
	testenv.Must(t, w.Close())
	return b.Bytes()
}

func toJSON(t testing.TB, v any) []byte {
	t.Helper()
	data, err := json.Marshal(v)
	testenv.Must(t, err)
	return data
}

func compress(t testing.TB, data []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	_, err := w.Write(data)
	testenv.Must(t, err)
	testenv.Must(t, w.Close())
	return b.Bytes()
}

// digest returns the digest of data, as OCI writes it.
func digest(data []byte) string { return fmt.Sprintf("sha256:%x", sha256.Sum256(data)) }

// rootFS returns the part of an image config that names the layers.
func rootFS(layers ...[]byte) map[string]any {
	ids := []string{}
	for _, l := range layers {
		ids = append(ids, digest(l))
	}
	return map[string]any{"type": "layers", "diff_ids": ids}
}

// imageConfig returns the document that the engine keeps, for layers as tars.
func (f *fixture) imageConfig(t testing.TB, layers ...[]byte) []byte {
	var history []map[string]string
	for _, h := range f.history {
		history = append(history, map[string]string{"created_by": h})
	}
	return toJSON(t, map[string]any{"os": "linux", "architecture": "amd64", "config": f.config, "history": history, "rootfs": rootFS(layers...)})
}

// tars returns the layers as tars.
func (f *fixture) tars(t testing.TB) (all [][]byte) {
	for _, l := range f.layers {
		all = append(all, l.tar(t))
	}
	return all
}

// legacy returns the archive as docker wrote it up to version 24.
func (f *fixture) legacy(t testing.TB) []byte {
	members := []member{}
	var order []string
	layers := f.tars(t)
	for i, l := range layers {
		id := fmt.Sprintf("%064d", i)
		members = append(members, member{name: id + "/VERSION", data: []byte("1.0")}, member{name: id + "/json", data: []byte(`{"id":"x"}`)},
			member{name: id + "/layer.tar", data: l})
		order = append(order, id+"/layer.tar")
	}
	return pack(t, append(members,
		member{name: "config.json", data: f.imageConfig(t, layers...)},
		member{name: "manifest.json", data: toJSON(t, []map[string]any{{"Config": "config.json", "Layers": order}})}))
}

// ociImage is an archive in OCI's layout while it is made.
type ociImage struct {
	t       testing.TB
	members []member
}

// blob adds a blob and returns its descriptor.
func (o *ociImage) blob(data []byte) map[string]any {
	d := digest(data)
	if name := "blobs/" + strings.Replace(d, ":", "/", 1); !slices.ContainsFunc(o.members, func(m member) bool { return m.name == name }) {
		o.members = append(o.members, member{name: name, data: data})
	}
	return map[string]any{"digest": d}
}

// image adds an image, with compressed layers, and returns the descriptor of its
// manifest.
func (o *ociImage) image(config []byte, layers ...[]byte) map[string]any {
	parts := []any{}
	for _, l := range layers {
		parts = append(parts, o.blob(compress(o.t, l)))
	}
	return o.blob(toJSON(o.t, map[string]any{"config": o.blob(config), "layers": parts}))
}

// pack returns the archive, in no order, with an index of these descriptors and further
// members.
func (o *ociImage) pack(descriptors []any, more ...member) []byte {
	all := append(slices.Clone(o.members), member{name: "index.json", data: toJSON(o.t, map[string]any{"manifests": descriptors})})
	slices.Reverse(all)
	all = append([]member{{name: "oci-layout", data: []byte(`{"imageLayoutVersion":"1.0.0"}`)}}, all...)
	return pack(o.t, append(all, more...))
}

// attestation is the descriptor of a builder's statement, which docker save leaves out
// together with the platforms that it has not.
func attestation() any {
	return map[string]any{"digest": digest([]byte("of how it was built")), "platform": map[string]string{"os": "unknown", "architecture": "unknown"},
		"annotations": map[string]string{"vnd.docker.reference.type": "attestation-manifest"}}
}

// oci returns the archive in OCI's layout.
func (f *fixture) oci(t testing.TB) []byte {
	o := &ociImage{t: t}
	layers := f.tars(t)
	manifest := o.image(f.imageConfig(t, layers...), layers...)
	index := o.blob(toJSON(t, map[string]any{"manifests": []any{manifest, attestation()}}))
	return o.pack([]any{index})
}
