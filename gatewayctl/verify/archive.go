// SPDX-License-Identifier: Apache-2.0

package verify

import (
	"archive/tar"
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"path"
	"strings"
)

// image is the content of a source.
type image struct {
	tree    *tree
	config  *imageConfig // nil for a directory
	layers  int
	entries int
	unread  []string // paths of a directory that could not be looked at, and why
	skipped []string // paths that are mounted into a directory
}

// archive is a docker save while it is read. Both layouts are the same except
// for the files that lead to the parts. In the older one manifest.json names
// ID/layer.tar. In OCI's, index.json names blobs by digest, in any order, and
// does not say the kind of a blob. So the first bytes of a member decide its
// kind.
type archive struct {
	scan   *layerScan
	texts  map[string][]byte // JSON
	layers map[string]*layer
	other  map[string]string // the kind of each member that was not read
	links  map[string]string // the older layout stores equal layers once
}

type archiveSource struct{ r io.Reader }

// Archive returns a Source for an image as docker save or podman save writes it,
// also compressed with gzip, also in OCI's layout.
func Archive(r io.Reader) Source { return archiveSource{r} }

func (archiveSource) try(context.Context, *inspection) programRuns {
	why := outcomeNotRun(resultNotApplicable("nothing of an archive is run: use --image"))
	return programRuns{init: why, ctl: why}
}

func (a archiveSource) read(_ context.Context, s *layerScan) (*image, error) {
	return readArchive(a.r, s)
}

func readArchive(r io.Reader, s *layerScan) (*image, error) {
	a := &archive{scan: s, texts: map[string][]byte{}, layers: map[string]*layer{}, other: map[string]string{}, links: map[string]string{}}
	plain, err := unpacked(bufio.NewReader(r))
	if err != nil {
		return nil, fmt.Errorf("cannot read archive: %w", err)
	}
	for members := tar.NewReader(plain); ; {
		h, err := members.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, fmt.Errorf("cannot read archive: %w", err)
		}
		name, err := memberPath(h.Name)
		if err == nil {
			err = s.entry(name)
		}
		switch {
		case err != nil:
			return nil, fmt.Errorf("cannot read archive: %w", err)
		case h.Typeflag == tar.TypeSymlink:
			// ".." is taken as the archive's own tools do; no file is opened by
			// it.
			a.links[name] = path.Join(path.Dir(name), h.Linkname)
		case h.Typeflag == tar.TypeReg:
			if err := a.member(name, members); err != nil {
				return nil, err
			}
		}
	}
	return a.image()
}

// unpacked undoes gzip once, if r is compressed.
func unpacked(r *bufio.Reader) (*bufio.Reader, error) {
	head, _ := r.Peek(2)
	if !bytes.Equal(head, []byte("\x1f\x8b")) {
		return r, nil
	}
	z, err := gzip.NewReader(r)
	if err != nil {
		return nil, err
	}
	return bufio.NewReader(z), nil
}

// member reads one file of the archive to its end.
func (a *archive) member(name string, content io.Reader) error {
	plain, err := unpacked(bufio.NewReader(content))
	if err != nil {
		return fmt.Errorf("cannot read %s: %w", name, err)
	}
	stream := a.scan.stream()
	kind, whole := sniff(plain), io.TeeReader(&reader{plain, a.scan.budget}, stream)
	switch kind {
	case isLayer:
		l, err := readLayer("layer "+shortName(name), whole, a.scan, stream)
		if err != nil {
			return err
		}
		a.layers[name] = l
	case isJSON:
		text, err := io.ReadAll(io.LimitReader(whole, maxJSON+1))
		if err != nil || len(text) > maxJSON {
			return fmt.Errorf("cannot read %s: it has more than %d bytes, or ends too early: %w", name, maxJSON, errors.Join(err, errLimit))
		}
		if err := a.scan.hold(len(text)); err != nil {
			return err
		}
		a.texts[name] = text
	default:
		a.other[name] = kind
	}
	// Bytes behind the end of a tar are bytes of the image too.
	if _, err := io.Copy(io.Discard, whole); err != nil {
		return fmt.Errorf("cannot read %s: %w", name, err)
	}
	if stream.Found() {
		a.scan.leak("", strings.TrimPrefix(name, "/"))
	}
	return nil
}

// Kinds of a member, in words for an error.
const (
	isLayer = "a layer"
	isJSON  = "JSON"
	isZstd  = "compressed with zstd, which this program does not read: save the image uncompressed or with gzip"
	isOther = "neither a tar nor JSON"
)

// sniff returns the kind of a member by its first bytes. An empty layer is zeros
// alone.
func sniff(r *bufio.Reader) string {
	const magic, size = 257, 512 // tar(5): "ustar"
	head, _ := r.Peek(size)
	switch {
	case len(head) == size && (string(head[magic:magic+5]) == "ustar" || len(bytes.Trim(head, "\x00")) == 0):
		return isLayer
	case bytes.HasPrefix(head, []byte("\x28\xb5\x2f\xfd")):
		return isZstd
	case bytes.HasPrefix(bytes.TrimLeft(head, " \t\r\n"), []byte("{")), bytes.HasPrefix(bytes.TrimLeft(head, " \t\r\n"), []byte("[")):
		return isJSON
	}
	return isOther
}

// shortName returns enough of a digest to find a layer by it.
func shortName(name string) string {
	for _, part := range findNames(name) {
		if len(part) >= 64 {
			return part[:12]
		}
	}
	return strings.TrimPrefix(name, "/")
}

// image puts the layers together as the manifest says.
func (a *archive) image() (*image, error) {
	configName, layerNames, err := a.manifest()
	if err != nil {
		return nil, fmt.Errorf("cannot read archive: %w", err)
	}
	text, ok := a.texts[a.resolve(configName)]
	if !ok {
		return nil, fmt.Errorf("cannot read archive: the image config %s is missing", configName)
	}
	config, err := parseConfig(text)
	if err != nil {
		return nil, fmt.Errorf("cannot read archive: the image config: %w", err)
	}
	if n := len(config.RootFS.DiffIDs); n != len(layerNames) {
		return nil, fmt.Errorf("cannot read archive: the manifest has %d layers, the image config %d", len(layerNames), n)
	}
	im := &image{tree: newTree(), config: config, layers: len(layerNames)}
	for _, name := range layerNames {
		l, ok := a.layers[a.resolve(name)]
		if !ok {
			return nil, fmt.Errorf("cannot read archive: %s is %s", name, a.missing(name))
		}
		if err := l.apply(im.tree); err != nil {
			return nil, err
		}
	}
	im.tree.walk(func(string, *node) { im.entries++ })
	return im, nil
}

func (a *archive) missing(name string) string {
	if kind, ok := a.other[a.resolve(name)]; ok {
		return kind
	}
	return "missing, or no layer"
}

// resolve follows the archive's own links.
func (a *archive) resolve(name string) string {
	name = path.Join("/", name)
	for range 8 {
		next, ok := a.links[name]
		if !ok {
			break
		}
		name = next
	}
	return name
}
