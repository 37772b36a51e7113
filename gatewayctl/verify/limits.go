// SPDX-License-Identifier: Apache-2.0

package verify

import (
	"errors"
	"fmt"
	"io"
	"strings"
)

// The limits. An image with OpenClaw has 60 thousand entries and a gigabyte.
const (
	maxEntries = 1 << 19
	maxHeld    = 256 << 20 // bytes that stay in memory: entries, names, JSON, small files
	maxBytes   = 64 << 30  // to be read; a byte of a file counts once in the archive, once in its layer, and once itself
	maxDepth   = 256       // nested directories
	maxPath    = 4096
	maxJSON    = 4 << 20 // bytes of the image's config or manifest
	maxLayers  = 512     // engines take 128
	maxImages  = 64      // manifests that an index names
)

// entryCost is the memory that an entry takes beside its name.
const entryCost = 400

// errLimit refuses an image that is larger than any real one.
var errLimit = errors.New("the image is too large")

// budget holds the remaining part of the limits.
type budget struct {
	entries     int
	held, bytes int64
}

func newBudget() *budget { return &budget{maxEntries, maxHeld, maxBytes} }

// entry counts one entry, with the text of the link that it may be.
func (b *budget) entry(unsafePath, target string) error {
	if b.entries--; b.entries < 0 {
		return fmt.Errorf("%w: more than %d entries, at %.200s", errLimit, maxEntries, unsafePath)
	}
	return b.hold(unsafePath, entryCost+len(unsafePath)+len(target))
}

// hold counts n bytes of memory for the text or the name of an entry.
func (b *budget) hold(unsafePath string, n int) error {
	if b.held -= int64(n); b.held < 0 {
		return fmt.Errorf("%w: more than %d bytes of entries, names and texts, at %.200s", errLimit, maxHeld, unsafePath)
	}
	return nil
}

// take counts n bytes of content. A sparse file counts with its full size,
// because reading it yields that many bytes.
func (b *budget) take(unsafePath string, n int64) error {
	if n < 0 || n > b.bytes {
		return fmt.Errorf("%w: more than %d bytes, at %.200s", errLimit, int64(maxBytes), unsafePath)
	}
	b.bytes -= n
	return nil
}

// reader reads r within the budget, which is shared with all other readers.
type reader struct {
	r          io.Reader
	b          *budget
	unsafePath string
}

func (r *reader) Read(p []byte) (int, error) {
	n, err := r.r.Read(p)
	if e := r.b.take(r.unsafePath, int64(n)); e != nil {
		return 0, e
	}
	return n, err
}

// memberPath returns the absolute, clean path of a name in an archive. It
// refuses a name that would lead out of the tree, or that two readers could take
// for two names.
func memberPath(name string) (string, error) {
	if len(name) > maxPath || strings.Contains(name, "\x00") {
		return "", fmt.Errorf("cannot use name %.64q: it has more than %d bytes or a NUL", name, maxPath)
	}
	var parts []string
	for _, part := range strings.Split(name, "/") {
		switch part {
		case "", ".":
		case "..":
			return "", fmt.Errorf("cannot use name %.200q: it leads out of the tree", name)
		default:
			parts = append(parts, part)
		}
	}
	if len(parts) > maxDepth {
		return "", fmt.Errorf("cannot use name %.64q: it is more than %d levels deep", name, maxDepth)
	}
	return "/" + strings.Join(parts, "/"), nil
}
