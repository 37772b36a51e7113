// SPDX-License-Identifier: Apache-2.0

package verify

import (
	"fmt"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/gateway-init/gateway-init/internal/fsafe"
)

// File types besides those of fsafe.
const (
	link      fsafe.Type = unix.S_IFLNK
	character fsafe.Type = unix.S_IFCHR
	block     fsafe.Type = unix.S_IFBLK
)

// node is the file that a name stands for; hard links share one.
type node struct {
	kind     fsafe.Type
	mode     uint32 // 12 bits
	uid, gid uint32
	links    uint64 // names; of a layer, all names that the layer gives it
	layer    int32  // the last layer with an entry for it
	size     int64
	target   string // of a link
	capable  bool   // has file capabilities
	data     []byte // content, of the few files that are read
	sum      string // SHA-256 of the content in hex; "" if it was not computed
	head     []byte // of an executable script: its first bytes
	below    map[string]*node
}

// writable reports whether a user other than the owner may change it. A link has
// no mode.
func (n *node) writable() bool { return n.kind != link && n.mode&0o022 != 0 }

// tree is a file system by name.
type tree struct{ root *node }

func newTree() *tree { return &tree{newDir()} }

func newDir() *node {
	return &node{kind: fsafe.Directory, mode: 0o755, below: map[string]*node{}}
}

// findNames returns the components of an absolute, clean path.
func findNames(path string) []string {
	return strings.FieldsFunc(path, func(r rune) bool { return r == '/' })
}

// at returns the node at path, or nil if there is none. It follows no link.
func (t *tree) at(path string) *node {
	n := t.root
	for _, name := range findNames(path) {
		if n = n.below[name]; n == nil {
			return nil
		}
	}
	return n
}

// walk visits everything in order, a directory before its entries.
func (t *tree) walk(visit func(path string, n *node)) { walk("/", t.root, visit) }

func walk(at string, n *node, visit func(string, *node)) {
	visit(at, n)
	for _, name := range slices.Sorted(maps.Keys(n.below)) {
		walk(path.Join(at, name), n.below[name], visit)
	}
}

// missingError means that nothing is at a path.
type missingError struct{ path string }

func (e *missingError) Error() string   { return e.path + ": " + fs.ErrNotExist.Error() }
func (e *missingError) Is(t error) bool { return t == fs.ErrNotExist }

// maxSteps bounds components and links, as the kernel bounds links.
const maxSteps = 256

// follow returns the node that the kernel would find at path, and calls visit for
// everything on the way, the root and the file itself included. As in
// internal/pathcheck, ".." is relative to the place where a link led, not where it
// was written.
func (t *tree) follow(unsafePath string, visit func(path string, n *node) error) (*node, error) {
	at, rest := "/", append([]string{"."}, findNames(unsafePath)...)
	for range maxSteps {
		if len(rest) == 0 {
			return t.at(at), nil
		}
		next := path.Join(at, rest[0])
		rest = rest[1:]
		n := t.at(next)
		if n == nil {
			return nil, &missingError{next}
		}
		if err := visit(next, n); err != nil {
			return nil, err
		}
		switch {
		case n.kind == link:
			if path.IsAbs(n.target) {
				at = "/"
			}
			rest = append(findNames(n.target), rest...)
		case n.kind == fsafe.Directory:
			at = next
		case len(rest) > 0:
			return nil, fmt.Errorf("%s: %w", next, syscall.ENOTDIR)
		default:
			return n, nil
		}
	}
	return nil, fmt.Errorf("%s: %w", unsafePath, syscall.ELOOP)
}
