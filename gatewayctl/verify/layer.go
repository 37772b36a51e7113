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

// layer holds the changes of one layer to the tree below, in their order. It is kept
// until the manifest says where it belongs, because the manifest may come last in
// an archive.
type layer struct {
	name    string
	changes []change
	inTree  bool // its nodes are in a tree
}

// change is one entry of a layer.
type change struct {
	path string
	does action
	to   string // hard link: an absolute, clean path
	node *node  // nil for a whiteout; of a hard link, as its header describes it
}

// action is the effect of an entry on the tree.
type action uint8

const (
	doPut    action = iota // makes or replaces the path
	doLink                 // makes the path another name of a file
	doRemove               // removes the path, with all below it
	doEmpty                // removes all below the path
)

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
			return nil, err
		}
		if seen.Found() {
			s.leak(name, h.Name)
			seen.Reset()
		}
	}
}

func (l *layer) entry(h *tar.Header, content io.Reader, s *layerScan) error {
	if h.Typeflag == tar.TypeXGlobalHeader {
		return nil // no engine takes anything from it
	}
	at, err := memberPath(h.Name)
	if err != nil {
		return err
	}
	if err := s.entry(at, h.Linkname); err != nil {
		return err
	}
	dir, base := path.Split(at)
	if strings.Contains(dir, "/"+whiteout) {
		return fmt.Errorf("cannot use %.200s: it is below a whiteout: %w", at, errReaders)
	}
	if strings.HasPrefix(base, whiteout) {
		return l.whiteout(at, path.Clean(dir), base)
	}
	n, err := nodeOf(h)
	if err != nil {
		return fmt.Errorf("cannot use %.200s: %w", at, err)
	}
	if err := s.take(at, h.Size); err != nil {
		return err
	}
	s.name(l.name, at)
	c := change{path: at, node: n}
	if h.Typeflag == tar.TypeLink {
		c.does = doLink
		c.to, err = memberPath(h.Linkname)
		if s.known.isOwnConfig(base) {
			s.traces[len(s.traces)-1].secret = "it is a hard link, so it may hold a token"
		}
	} else if n.kind == fsafe.Regular {
		err = s.content(l.name, at, n, content)
	}
	l.changes = append(l.changes, c)
	return err
}

// whiteout notes an entry that removes names of the layers below.
func (l *layer) whiteout(at, dir, base string) error {
	name := base[len(whiteout):]
	switch {
	case base == opaque:
		l.changes = append(l.changes, change{path: dir, does: doEmpty})
	case strings.HasPrefix(base, whiteoutMeta):
	case name == "" || name == "." || name == "..":
		return fmt.Errorf("cannot use %.200s: it removes nothing that can be", at)
	default:
		l.changes = append(l.changes, change{path: path.Join(dir, name), does: doRemove})
	}
	return nil
}

// Extended attributes in a tar (PAX records). Those of overlayfs hide or redirect
// lower layers, if an engine unpacks a layer into a folder that overlayfs then uses.
const (
	xattr            = "SCHILY.xattr."
	xattrCapability  = xattr + "security.capability"
	xattrOverlay     = xattr + "trusted.overlay."
	xattrUserOverlay = xattr + "user.overlay."
)

// nodeOf returns the node that a header describes.
func nodeOf(h *tar.Header) (*node, error) {
	kinds := map[byte]fsafe.Type{
		tar.TypeReg: fsafe.Regular, tar.TypeGNUSparse: fsafe.Regular, tar.TypeLink: fsafe.Regular, tar.TypeDir: fsafe.Directory, tar.TypeSymlink: link,
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
	if kind == character && h.Devmajor == 0 && h.Devminor == 0 {
		return nil, fmt.Errorf("it is a device 0:0, which is a whiteout of overlayfs: %w", errReaders)
	}
	n := &node{kind: kind, mode: uint32(h.Mode & 0o7777), uid: uint32(h.Uid), gid: uint32(h.Gid), size: h.Size, target: h.Linkname}
	for name := range h.PAXRecords {
		if strings.HasPrefix(name, xattrOverlay) || strings.HasPrefix(name, xattrUserOverlay) {
			return nil, fmt.Errorf("it has an attribute of overlayfs, %.80q: %w", strings.TrimPrefix(name, xattr), errReaders)
		}
		n.capable = n.capable || name == xattrCapability
	}
	if kind == fsafe.Directory {
		n.below = map[string]*node{}
	}
	return n, nil
}
