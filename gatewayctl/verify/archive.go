// SPDX-License-Identifier: Apache-2.0

package verify

import (
	"archive/tar"
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"path"
	"slices"
	"strings"
)

// image is the content of a source.
type image struct {
	tree     *tree
	config   *imageConfig // nil for a directory
	layers   int
	entries  int
	platform string   // of an archive: as linux/amd64
	others   []string // platforms of an archive that were not checked
	unread   []string // paths of a directory that could not be looked at, and why
	skipped  []string // paths that are mounted into a directory
}

// archive is a docker save while it is read. Both layouts are the same except
// for the files that lead to the parts. In docker's, manifest.json names members. In
// OCI's, index.json names blobs by digest, in any order, and does not say the kind of
// a blob. So the first bytes of a member decide its kind.
type archive struct {
	scan    *layerScan
	members map[string]*part
	links   map[string]string // the older layout stores equal layers once
	folders map[string]bool
}

type archiveSource struct{ r io.Reader }

// Archive returns a Source for an image as docker save or podman save writes it,
// also compressed with gzip, also in OCI's layout.
func Archive(r io.Reader) Source { return archiveSource{r} }

func (archiveSource) try(context.Context, *inspection) programRuns {
	why := outcomeNotRun(resultNotApplicable("nothing of an archive is run: use --image"))
	return programRuns{init: why, ctl: why}
}

// read returns at the end of ctx. A reader may then still wait for its next byte, in a
// goroutine that ends with the process.
func (a archiveSource) read(ctx context.Context, s *layerScan) (*image, error) {
	type result struct {
		im  *image
		err error
	}
	done := make(chan result, 1)
	go func() {
		im, err := readArchive(a.r, s)
		done <- result{im, err}
	}()
	select {
	case r := <-done:
		return r.im, r.err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func readArchive(r io.Reader, s *layerScan) (*image, error) {
	a := &archive{scan: s, members: map[string]*part{}, links: map[string]string{}, folders: map[string]bool{}}
	plain, err := unpacked(bufio.NewReader(r))
	if err != nil {
		return nil, fmt.Errorf("cannot read archive: %w", err)
	}
	for members := tar.NewReader(&reader{plain, s.budget, "the archive"}); ; {
		h, err := members.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err == nil {
			err = a.entry(h, members)
		}
		if err != nil {
			return nil, fmt.Errorf("cannot read archive: %w", err)
		}
	}
	im, err := a.image()
	if err != nil {
		return nil, fmt.Errorf("cannot read archive: %w", err)
	}
	return im, nil
}

// entry reads one entry of the archive. Some readers unpack an archive into a
// directory, where a later entry replaces an earlier one and a link leads elsewhere.
// Others read it once. So a name must not be there twice.
func (a *archive) entry(h *tar.Header, content io.Reader) error {
	if h.Typeflag == tar.TypeXGlobalHeader {
		return nil
	}
	name, err := memberPath(h.Name)
	if err != nil {
		return err
	}
	if err := a.scan.entry(name, h.Linkname); err != nil {
		return err
	}
	if a.isTaken(name) && !(a.folders[name] && h.Typeflag == tar.TypeDir) {
		return fmt.Errorf("%.200s is in it twice: %w", name, errReaders)
	}
	switch h.Typeflag {
	case tar.TypeDir:
		a.folders[name] = true
	case tar.TypeSymlink:
		// ".." is taken as the archive's own tools do; no file is opened by it.
		a.links[name] = path.Join(path.Dir(name), h.Linkname)
	case tar.TypeReg:
		a.members[name], err = a.member(name, content)
	default:
		err = fmt.Errorf("%.200s is of type %q: save the image again", name, h.Typeflag)
	}
	return err
}

func (a *archive) isTaken(name string) bool {
	_, isLink := a.links[name]
	return isLink || a.members[name] != nil || a.folders[name]
}

// checkNames refuses a name below a file or a link, and a link in place of a file
// that says what the archive has.
func (a *archive) checkNames() error {
	check := func(name string) error {
		for dir := path.Dir(name); dir != "/"; dir = path.Dir(dir) {
			if a.isTaken(dir) && !a.folders[dir] {
				return fmt.Errorf("%.200s %w", name, errBelowFile)
			}
		}
		return nil
	}
	for name := range a.members {
		if err := check(name); err != nil {
			return err
		}
	}
	for name := range a.links {
		if err := check(name); err != nil {
			return err
		}
		if slices.Contains([]string{savedManifest, ociIndex, ociLayout, oldManifest}, name) {
			return fmt.Errorf("%s is a link: %w", name, errReaders)
		}
	}
	return nil
}

// image puts the layers together as the manifest says.
func (a *archive) image() (*image, error) {
	if err := a.checkNames(); err != nil {
		return nil, err
	}
	c, others, err := a.choose()
	if err != nil {
		return nil, err
	}
	config, err := a.config(c.config)
	if err != nil {
		return nil, err
	}
	diffs := config.RootFS.DiffIDs
	switch {
	case len(diffs) != len(c.layers):
		return nil, fmt.Errorf("the manifest has %d layers, the image config %d", len(c.layers), len(diffs))
	case len(diffs) > maxLayers:
		return nil, fmt.Errorf("%w: more than %d layers, in %s", errLimit, maxLayers, c.config)
	}
	im := &image{tree: newTree(), config: config, layers: len(c.layers), platform: config.platform(), others: others}
	for i, name := range c.layers {
		m := a.members[a.resolve(name)]
		if m == nil || m.kind != isLayer {
			return nil, fmt.Errorf("%.200s is %s", name, m.missing())
		}
		if diffs[i] != sha256Prefix+m.plain {
			return nil, fmt.Errorf("%.200s has other content than the image config says: its diff_id is sha256:%s, not %.80q: save the image again", name, m.plain, diffs[i])
		}
		if err := a.again(m.layer); err != nil {
			return nil, err
		}
		if err := m.layer.apply(im.tree, int32(i+1)); err != nil {
			return nil, err
		}
	}
	im.tree.walk(func(string, *node) { im.entries++ })
	return im, nil
}

// again counts the entries of a layer that the image has more than once.
func (a *archive) again(l *layer) error {
	if !l.inTree {
		return nil
	}
	for range l.changes {
		if err := a.scan.entry(l.name, ""); err != nil {
			return err
		}
	}
	return nil
}

// config returns the image config that a member has.
func (a *archive) config(name string) (*imageConfig, error) {
	m := a.members[a.resolve(name)]
	if m == nil || m.kind != isJSON {
		return nil, fmt.Errorf("the image config %.200s is %s", name, m.missing())
	}
	// Docker and podman name the config by its hash, also where it is no blob.
	hash := strings.TrimSuffix(strings.TrimPrefix(path.Base(name), sha256Prefix), ".json")
	if isSum(hash) && hash != m.sum {
		return nil, fmt.Errorf("the image config %.200s has the hash %s: save the image again", name, m.sum)
	}
	config, err := parseConfig(m.text)
	if err != nil {
		return nil, fmt.Errorf("the image config: %w", err)
	}
	return config, nil
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
