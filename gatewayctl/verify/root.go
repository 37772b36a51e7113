// SPDX-License-Identifier: Apache-2.0

package verify

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"

	"golang.org/x/sys/unix"

	"github.com/gateway-init/gateway-init/internal/fsafe"
	"github.com/gateway-init/gateway-init/internal/nodeflags"
	"github.com/gateway-init/gateway-init/internal/sys"
)

type rootSource struct{ dir string }

// Root returns a Source for an image as a directory; "/" is the image that this
// program runs in.
func Root(dir string) Source { return rootSource{dir} }

func (r rootSource) read(ctx context.Context, s *layerScan) (*image, error) {
	unsafePath, err := filepath.Abs(r.dir)
	if err != nil {
		return nil, fmt.Errorf("cannot read %s: %w", r.dir, err)
	}
	dir, err := fsafe.OpenDir(unsafePath)
	if err != nil {
		return nil, fmt.Errorf("cannot read the image: %w", err)
	}
	defer dir.Close()
	info, err := fsafe.Stat(dir)
	if err != nil {
		return nil, fmt.Errorf("cannot read the image: %w", err)
	}
	wantPins(unsafePath, s)
	wantTokenNames(unsafePath, s)
	w := &walker{ctx: ctx, scan: s, im: &image{tree: &tree{nodeOnDisk(info)}, layers: 1}, dev: info.Dev}
	if err := w.dir(dir, "/", w.im.tree.root); err != nil {
		return nil, fmt.Errorf("cannot read the image: %w", err)
	}
	return w.im, nil
}

// walker reads a directory tree. Each entry is opened first and looked at through
// its descriptor; a directory's descriptor stays open while its entries are read.
type walker struct {
	ctx   context.Context
	scan  *layerScan
	im    *image
	dev   uint64 // of the root
	depth int
}

// dir reads the entries of the directory d, which is n. It returns only errors
// that end the whole walk.
func (w *walker) dir(d *os.File, at string, n *node) error {
	w.im.entries++
	if w.depth++; w.depth > maxDepth {
		return fmt.Errorf("%w: %.200s is more than %d levels deep", errLimit, at, maxDepth)
	}
	defer func() { w.depth-- }()
	// The names of one directory count before they are all in memory.
	all, err := d.Readdirnames(max(w.scan.entries, 0) + 1)
	if err != nil && !errors.Is(err, io.EOF) {
		w.missed(at, err)
	}
	slices.Sort(all)
	for _, name := range all {
		below := path.Join(at, name)
		if err := cmp.Or(w.ctx.Err(), w.scan.entry(below, "")); err != nil {
			return err
		}
		if err := w.entry(d, name, below, n); err != nil {
			return err
		}
	}
	return nil
}

// missed notes a path that could not be looked at. A file that is gone again is not
// part of an image.
func (w *walker) missed(at string, err error) {
	if !errors.Is(err, fs.ErrNotExist) {
		if e := (*fs.PathError)(nil); errors.As(err, &e) {
			err = e.Err
		}
		w.im.unread = append(w.im.unread, fmt.Sprintf("%s: %v", at, err))
	}
}

func (w *walker) entry(d *os.File, name, at string, parent *node) error {
	f, err := fsafe.OpenAt(d, name, unix.O_PATH)
	if err != nil {
		w.missed(at, err)
		return nil
	}
	defer f.Close()
	info, err := fsafe.Stat(f)
	if err != nil {
		w.missed(at, err)
		return nil
	}
	n := nodeOnDisk(info)
	parent.below[name] = n
	w.scan.name("", at)
	switch n.kind {
	case fsafe.Directory:
		return w.enter(d, name, at, n, info)
	case fsafe.Regular:
		if err := w.file(d, name, at, n, info); err != nil {
			w.missed(at, err)
		}
	case link:
		if n.target, err = fsafe.ReadLink(f); err != nil {
			w.missed(at, err)
		}
	}
	w.im.entries++
	return nil
}

// enter goes into a directory, unless the kernel's own files or a tmpfs are
// mounted there. Those belong to the container, not to the image.
func (w *walker) enter(d *os.File, name, at string, n *node, seen fsafe.Info) error {
	sub, err := fsafe.OpenDirAt(d, name)
	if err != nil {
		w.missed(at, err)
		return nil
	}
	defer sub.Close()
	info, err := verifySeen(sub, seen)
	if err != nil {
		w.missed(at, err)
		return nil
	}
	if info.Dev != w.dev {
		magic, err := sys.FSMagic(sub)
		if err != nil {
			w.missed(at, err)
			return nil
		}
		if slices.Contains([]int64{sys.ProcMagic, sys.SysfsMagic, sys.TmpfsMagic, sys.RamfsMagic}, magic) {
			w.im.skipped = append(w.im.skipped, at)
			return nil
		}
	}
	return w.dir(sub, at, n)
}

var errReplaced = errors.New("it was replaced meanwhile")

// verifySeen refuses f unless it is the inode that was seen under its name.
func verifySeen(f *os.File, seen fsafe.Info) (fsafe.Info, error) {
	info, err := fsafe.Stat(f)
	if err == nil && !info.Same(seen) {
		err = errReplaced
	}
	return info, err
}

// file reads the properties that only an open file shows.
func (w *walker) file(d *os.File, name, at string, n *node, seen fsafe.Info) error {
	f, err := fsafe.OpenAt(d, name, unix.O_RDONLY|unix.O_NONBLOCK)
	if err != nil {
		return err
	}
	defer f.Close()
	if _, err := verifySeen(f, seen); err != nil {
		return err
	}
	if n.capable, err = fsafe.HasCapabilities(f); err != nil {
		w.missed(at, err)
	}
	if !w.scan.wants(at) && !isText(f) {
		if n.mode&0o111 == 0 {
			return nil
		}
		var first head
		if _, err := io.Copy(&first, io.LimitReader(f, nodeflags.HeadSize)); err != nil {
			return err
		}
		return w.scan.script(at, n, first)
	}
	if err := w.scan.take(at, n.size); err != nil {
		return err
	}
	stream := w.scan.stream()
	err = w.scan.content("", at, n, io.TeeReader(io.LimitReader(f, n.size), stream))
	if stream.Found() {
		w.scan.leak("", at)
	}
	return err
}

// isText reports whether a file may be text, as textScan decides it. If it cannot
// be read, the caller gets the error again.
func isText(f *os.File) bool {
	var first [textHead]byte
	n, _ := f.ReadAt(first[:], 0)
	return bytes.IndexByte(first[:n], 0) < 0
}

func nodeOnDisk(i fsafe.Info) *node {
	n := &node{kind: i.Type, mode: i.Mode, uid: i.UID, gid: i.GID, links: i.Links, size: i.Size}
	if n.kind == fsafe.Directory {
		n.below = map[string]*node{}
	}
	return n
}
