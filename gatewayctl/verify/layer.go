// SPDX-License-Identifier: Apache-2.0

package verify

import (
	"archive/tar"
	"errors"
	"fmt"
	"io"
	"path"
	"strings"

	"github.com/gateway-init/gateway-init/gatewayctl/tokenscan"
	"github.com/gateway-init/gateway-init/internal/fsafe"
)

// Whiteouts (OCI image specification, "Layer Filesystem Changeset").
const (
	whiteout     = ".wh."
	whiteoutMeta = ".wh..wh." // of a storage driver, except for opaque
	opaque       = ".wh..wh..opq"
)

// change is one entry of a layer.
type change struct {
	path string
	node *node
	to   string // hard link: an absolute, clean path
}

// layer holds the changes of one layer to the tree below. It is kept until the
// manifest says where in the order it belongs, because the manifest may come
// last in an archive.
type layer struct {
	name    string
	removes []string // whiteouts
	empties []string // opaque directories
	changes []change
}

// xattrCapability is the name of the extended attribute in a tar (PAX record).
const xattrCapability = "SCHILY.xattr.security.capability"

// readLayer reads one layer to its end; seen gets all bytes that were read from
// r.
func readLayer(name string, r io.Reader, s *layerScan, seen *tokenscan.Stream) (*layer, error) {
	l := &layer{name: name}
	for files := tar.NewReader(r); ; {
		h, err := files.Next()
		if errors.Is(err, io.EOF) {
			return l, nil
		}
		if err == nil {
			err = l.entry(h, files, s)
		}
		if err != nil {
			return nil, fmt.Errorf("cannot read %s: %w", name, err)
		}
		if seen.Found() {
			s.leak(name, h.Name)
			seen.Reset()
		}
	}
}

func (l *layer) entry(h *tar.Header, content io.Reader, s *layerScan) error {
	at, err := memberPath(h.Name)
	if err != nil {
		return err
	}
	if err := errors.Join(s.entry(at), s.take(h.Size)); err != nil {
		return err
	}
	dir, base := path.Split(at)
	switch {
	case base == opaque:
		l.empties = append(l.empties, path.Clean(dir))
		return nil
	case strings.HasPrefix(base, whiteoutMeta):
		return nil
	case strings.HasPrefix(base, whiteout):
		name := base[len(whiteout):]
		if name == "" || name == "." || name == ".." {
			return fmt.Errorf("cannot use %s: it removes nothing that can be", at)
		}
		l.removes = append(l.removes, path.Join(dir, name))
		return nil
	}
	if h.Typeflag == tar.TypeLink {
		to, err := memberPath(h.Linkname)
		if s.name(l.name, at); s.known.isOwnConfig(base) {
			s.traces[len(s.traces)-1].secret = "it is a hard link, so it may hold a token"
		}
		l.changes = append(l.changes, change{path: at, to: to})
		return err
	}
	n, err := nodeOf(h)
	if err != nil {
		return fmt.Errorf("cannot use %s: %w", at, err)
	}
	s.name(l.name, at)
	l.changes = append(l.changes, change{path: at, node: n})
	if n.kind == fsafe.Regular {
		return s.content(l.name, at, n, content)
	}
	return nil
}

// nodeOf returns the node that a header describes.
func nodeOf(h *tar.Header) (*node, error) {
	kinds := map[byte]fsafe.Type{
		tar.TypeReg: fsafe.Regular, tar.TypeGNUSparse: fsafe.Regular, tar.TypeDir: fsafe.Directory, tar.TypeSymlink: link,
		tar.TypeChar: character, tar.TypeBlock: block, tar.TypeFifo: fsafe.FIFO,
	}
	kind, ok := kinds[h.Typeflag]
	if !ok {
		return nil, fmt.Errorf("it is of type %q", h.Typeflag)
	}
	const maxID = 1<<32 - 2 // 2^32-1 is no id, because chown(2) takes it for "leave it"
	if h.Uid < 0 || h.Gid < 0 || int64(h.Uid) > maxID || int64(h.Gid) > maxID {
		return nil, errors.New("its owner is out of range")
	}
	_, capable := h.PAXRecords[xattrCapability]
	n := &node{kind: kind, mode: uint32(h.Mode & 0o7777), uid: uint32(h.Uid), gid: uint32(h.Gid), size: h.Size, target: h.Linkname, capable: capable}
	if kind == fsafe.Directory {
		n.below = map[string]*node{}
	}
	return n, nil
}

// apply puts the layer on top of t. Whiteouts apply only to the tree below,
// wherever in the layer they stand.
func (l *layer) apply(t *tree) error {
	for _, at := range l.removes {
		t.remove(at)
	}
	for _, at := range l.empties {
		t.empty(at)
	}
	for _, c := range l.changes {
		n := c.node
		if c.to != "" {
			if n = t.at(c.to); n == nil || n.kind == fsafe.Directory {
				return fmt.Errorf("cannot read %s: %s is a hard link to %s, which is no file there", l.name, c.path, c.to)
			}
		} else {
			one := *n // a manifest may name a layer twice
			if n = &one; n.kind == fsafe.Directory {
				n.below = map[string]*node{}
			}
		}
		if err := t.add(c.path, n); err != nil {
			return fmt.Errorf("cannot read %s: %w", l.name, err)
		}
	}
	return nil
}
