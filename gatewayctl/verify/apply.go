// SPDX-License-Identifier: Apache-2.0

package verify

import (
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/gateway-init/gateway-init/internal/fsafe"
)

// errReaders refuses an image that two programs may take for two images. Engines
// differ in the order in which they apply a layer, in the directories that a layer
// does not name, and in the files of other layers that they see while they unpack
// one.
var errReaders = errors.New("two readers could read this differently")

// apply puts the layer on top of t, where it is layer number, from 1. It applies the
// entries in their order, as engines without overlayfs do. Where engines with
// overlayfs have another result, it returns an error.
func (l *layer) apply(t *tree, number int32) error {
	u := upper{tree: t, number: number, implied: map[string]bool{}}
	for _, c := range l.changes {
		if err := u.apply(c, l.inTree); err != nil {
			return fmt.Errorf("%s: %w", l.name, err)
		}
	}
	l.inTree = true
	if err := u.checkImplied(); err != nil {
		return fmt.Errorf("%s: %w", l.name, err)
	}
	return nil
}

// upper is a layer that is being applied. A node has the number of the layer that
// has an entry for it.
type upper struct {
	*tree
	number int32
	// implied are directories of lower layers that the layer names only as a part
	// of other names.
	implied map[string]bool
}

// apply applies one entry. It adds a copy of the node if the layer is applied again,
// because a manifest may name a layer twice.
func (u *upper) apply(c change, again bool) error {
	switch c.does {
	case doRemove:
		return u.remove(c.path)
	case doEmpty:
		return u.empty(c.path)
	case doLink:
		return u.link(c)
	}
	n := c.node
	if again {
		one := *n
		if n = &one; n.kind == fsafe.Directory {
			n.below = map[string]*node{}
		}
		n.links = 0
	}
	return u.add(c.path, n)
}

// add puts n at an absolute, clean path, over any node of a lower layer. A directory
// over a directory changes its owner and mode and keeps its entries.
func (u *upper) add(unsafePath string, n *node) error {
	n.layer = u.number
	if unsafePath == "/" {
		if n.kind != fsafe.Directory {
			return fmt.Errorf("/ %w", errBelowFile)
		}
		n.below, u.root = u.root.below, n
		return nil
	}
	dir, err := u.parent(unsafePath, true)
	if err != nil {
		return err
	}
	name := path.Base(unsafePath)
	old := dir.below[name]
	switch {
	case old != nil && old.kind == fsafe.Directory && n.kind == fsafe.Directory:
		n.below = old.below
	case old != nil && u.has(old):
		return fmt.Errorf("%.200s is in it twice: %w", unsafePath, errReaders)
	}
	dir.below[name] = n
	if n.kind != fsafe.Directory {
		n.links++
	}
	return nil
}

// link makes another name of a file, which must be an earlier entry of the same layer:
// with overlayfs the files of other layers are not there yet. Most engines give the
// file the owner and mode of the link's header, and others do not, so both must be
// the same.
func (u *upper) link(c change) error {
	n := u.at(c.to)
	switch {
	case n == nil || n.kind == fsafe.Directory:
		return fmt.Errorf("%.200s is a hard link to %.200s, which is no file there", c.path, c.to)
	case n.layer != u.number || c.to == c.path || strings.HasPrefix(c.to, c.path+"/"):
		return fmt.Errorf("%.200s is a hard link to %.200s, which is no earlier entry of this layer: %w", c.path, c.to, errReaders)
	case n.uid != c.node.uid || n.gid != c.node.gid || n.mode != c.node.mode && n.kind != link:
		return fmt.Errorf("%.200s is a hard link with mode %04o of %d:%d to %.200s with mode %04o of %d:%d: %w",
			c.path, c.node.mode, c.node.uid, c.node.gid, c.to, n.mode, n.uid, n.gid, errReaders)
	}
	n.capable = n.capable || c.node.capable
	return u.add(c.path, n)
}

// remove removes a name of the layers below, with all below it. A missing name is
// no error, because a whiteout may be of a file that a squashed layer had.
func (u *upper) remove(unsafePath string) error {
	dir, err := u.parent(unsafePath, false)
	if err != nil || dir == nil {
		return err
	}
	n := dir.below[path.Base(unsafePath)]
	if n != nil && u.has(n) {
		return fmt.Errorf("%.200s has its whiteout behind it: %w", unsafePath, errReaders)
	}
	delete(dir.below, path.Base(unsafePath))
	return nil
}

// empty removes all that the layers below have in a directory.
func (u *upper) empty(unsafePath string) error {
	dir, err := u.parent(path.Join(unsafePath, "x"), false)
	if err != nil || dir == nil {
		return err
	}
	for _, n := range dir.below {
		if u.has(n) {
			return fmt.Errorf("%.200s has its whiteout behind its entries: %w", unsafePath, errReaders)
		}
	}
	clear(dir.below)
	return nil
}

// has reports whether the layer has an entry for n or for something below it.
func (u *upper) has(n *node) bool {
	if n.layer == u.number {
		return true
	}
	for _, below := range n.below {
		if u.has(below) {
			return true
		}
	}
	return false
}

// errBelowFile refuses a layer whose names contradict each other or a lower layer.
var errBelowFile = fmt.Errorf("is below something that is no directory: %w", errReaders)

// parent returns the directory that has the last component of a path. It makes
// missing ones, or returns nil for them.
func (u *upper) parent(unsafePath string, make bool) (*node, error) {
	dir, at := u.root, ""
	names := findNames(unsafePath)
	for _, name := range names[:len(names)-1] {
		at += "/" + name
		next := dir.below[name]
		if next == nil {
			if !make {
				return nil, nil
			}
			next = newDir()
			next.layer = u.number
			dir.below[name] = next
		}
		if next.kind != fsafe.Directory {
			return nil, fmt.Errorf("%.200s %w", unsafePath, errBelowFile)
		}
		if next.layer != u.number && !next.isUsual() {
			u.implied[at] = true
		}
		dir = next
	}
	return dir, nil
}

// isUsual reports whether a directory has the owner and mode with which engines make
// a missing one.
func (n *node) isUsual() bool { return n.uid == 0 && n.gid == 0 && n.mode == 0o755 }

// checkImplied refuses a layer that changes a directory of a lower layer and has no entry
// for it. With overlayfs some engines give such a directory to root, with mode 0755.
func (u *upper) checkImplied() error {
	var problems []string
	for at := range u.implied {
		if n := u.at(at); n != nil && n.kind == fsafe.Directory && n.layer != u.number && !n.isUsual() {
			problems = append(problems, fmt.Sprintf("it changes %.200s (mode %04o of %d:%d) and has no entry for it", at, n.mode, n.uid, n.gid))
		}
	}
	if len(problems) == 0 {
		return nil
	}
	return fmt.Errorf("%s: %w", slices.Min(problems), errReaders)
}
