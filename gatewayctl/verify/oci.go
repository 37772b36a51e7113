// SPDX-License-Identifier: Apache-2.0

package verify

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
)

// descriptor names a blob, in an index or a manifest.
type descriptor struct {
	MediaType string `json:"mediaType"`
	Digest    string `json:"digest"`
	Platform  *struct {
		OS           string `json:"os"`
		Architecture string `json:"architecture"`
	} `json:"platform"`
}

// platform returns the platform of an image, as linux/amd64, or "" if the descriptor
// does not say it.
func (d descriptor) platform() string {
	if d.Platform == nil {
		return ""
	}
	return fmt.Sprintf("%.40s/%.40s", d.Platform.OS, d.Platform.Architecture)
}

// blob returns the member that has the blob. Its name is its hash, and it was checked.
func (d descriptor) blob() (string, error) {
	hash, ok := strings.CutPrefix(d.Digest, sha256Prefix)
	if !ok || !isSum(hash) {
		return "", fmt.Errorf("the digest %.80q is not sha256: and 64 hex digits", d.Digest)
	}
	return blobs + hash, nil
}

// ociDocument is an index or a manifest.
type ociDocument struct {
	Manifests []descriptor `json:"manifests"`
	Config    *descriptor  `json:"config"`
	Layers    []descriptor `json:"layers"`
}

// indexReader collects the images of an archive from its indexes.
type indexReader struct {
	*archive
	seen    map[string]bool
	images  []candidate
	missing error // the first image that the archive has not, or not all of
}

// indexed returns the images that index.json names and that the archive has with all
// parts. Engines save the index of an image for several platforms also if they have
// one platform of it.
func (a *archive) indexed(index *part) ([]candidate, error) {
	r := &indexReader{archive: a, seen: map[string]bool{}}
	if err := r.read(index, "index.json", 0); err != nil {
		return nil, err
	}
	if len(r.images) == 0 {
		if r.missing == nil {
			r.missing = errors.New("index.json names no image")
		}
		return nil, r.missing
	}
	return r.images, nil
}

func parseDocument(m *part, name string) (d ociDocument, err error) {
	if m.kind != isJSON {
		return d, fmt.Errorf("%.200s is %s", name, m.missing())
	}
	if err := json.Unmarshal(m.text, &d); err != nil {
		return d, fmt.Errorf("%.200s: %w", name, err)
	}
	if d.Config != nil && d.Manifests != nil {
		return d, fmt.Errorf("%.200s is a manifest and an index: %w", name, errReaders)
	}
	return d, nil
}

// read reads one index and those below it.
func (r *indexReader) read(index *part, name string, depth int) error {
	const deepest = 3
	d, err := parseDocument(index, name)
	switch {
	case err != nil:
		return err
	case d.Config != nil:
		return fmt.Errorf("%.200s is a manifest, not an index", name)
	case depth > deepest:
		return fmt.Errorf("%.200s is an index in more than %d others", name, deepest)
	}
	for _, below := range d.Manifests {
		if err := r.descriptor(below, depth); err != nil {
			return err
		}
	}
	return nil
}

// descriptor reads the image or index that a descriptor names. A platform "unknown" is
// that of a builder's statement of how it built, which no engine runs.
func (r *indexReader) descriptor(d descriptor, depth int) error {
	if r.seen[d.Digest] || d.Platform != nil && (d.Platform.OS == "unknown" || d.Platform.Architecture == "unknown") {
		return nil
	}
	if r.seen[d.Digest] = true; len(r.seen) > maxImages {
		return fmt.Errorf("%w: more than %d manifests, in index.json", errLimit, maxImages)
	}
	name, err := d.blob()
	if err != nil {
		return err
	}
	m := r.members[name]
	if m == nil {
		r.incomplete("the manifest %s is missing", d.Digest)
		return nil
	}
	doc, err := parseDocument(m, name)
	switch {
	case err != nil:
		return err
	case doc.Config == nil:
		return r.read(m, name, depth+1)
	}
	return r.image(d, doc)
}

// incomplete notes an image that is not in the archive.
func (r *indexReader) incomplete(format string, args ...any) {
	if r.missing == nil {
		r.missing = fmt.Errorf(format, args...)
	}
}

// image adds the image of a manifest, if the archive has all its parts.
func (r *indexReader) image(d descriptor, m ociDocument) error {
	var c candidate
	for i, part := range append([]descriptor{*m.Config}, m.Layers...) {
		name, err := part.blob()
		if err != nil {
			return err
		}
		if r.members[name] == nil {
			r.incomplete("%s is missing", name)
			return nil
		}
		if i > 0 {
			c.layers = append(c.layers, name)
		} else {
			c.config = name
		}
	}
	config, err := r.config(c.config)
	switch {
	case err != nil || len(config.RootFS.DiffIDs) == 0:
		if !isImageConfig(m.Config.MediaType) {
			return nil // a signature or another artifact
		}
		if err != nil {
			return err
		}
	}
	c.platform = config.platform()
	if named := d.platform(); named != "" && c.platform != "" && named != c.platform {
		return fmt.Errorf("the index says that %s is for %s, and its config says %s: %w", c.config, named, c.platform, errReaders)
	}
	r.images = append(r.images, c)
	return nil
}

// isImageConfig reports whether a config of this media type is that of an image.
func isImageConfig(mediaType string) bool {
	switch mediaType {
	case "", "application/vnd.oci.image.config.v1+json", "application/vnd.docker.container.image.v1+json":
		return true
	}
	return false
}
