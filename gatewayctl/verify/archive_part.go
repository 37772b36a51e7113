// SPDX-License-Identifier: Apache-2.0

package verify

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"path"
	"strings"
)

// part is a regular file of an archive.
type part struct {
	kind  string
	sum   string // SHA-256 in hex of its bytes
	plain string // of its unpacked bytes
	layer *layer // isLayer
	text  []byte // isJSON
}

// Kinds of a member, in words for an error.
const (
	isLayer = "a layer"
	isJSON  = "JSON"
	isZstd  = "compressed with zstd, which this program does not read: save the image uncompressed or with gzip"
	isOther = "neither a tar nor JSON"
	isLarge = "JSON that was not kept" // such as a list of packages
)

// sha256Prefix begins a digest of the only algorithm that engines use.
const sha256Prefix = "sha256:"

// blobs has the blobs of an archive, named by their hashes.
const blobs = "/blobs/sha256/"

func isSum(text string) bool {
	raw, err := hex.DecodeString(text)
	return err == nil && len(raw) == sha256.Size && text == strings.ToLower(text)
}

// missing returns why m cannot be used.
func (m *part) missing() string {
	switch {
	case m == nil:
		return "missing"
	case m.kind == isLarge:
		return fmt.Sprintf("JSON of more than %d bytes", maxJSON)
	}
	return m.kind
}

// member reads one file of the archive to its end. A blob must have the hash that
// is its name.
func (a *archive) member(name string, content io.Reader) (*part, error) {
	m, err := a.readMember(name, content)
	if err != nil {
		return nil, fmt.Errorf("%.200s: %w", name, err)
	}
	if hash, ok := strings.CutPrefix(name, blobs); ok && isSum(hash) && hash != m.sum {
		return nil, fmt.Errorf("%s has the hash %s: save the image again", name, m.sum)
	}
	return m, nil
}

func (a *archive) readMember(name string, content io.Reader) (*part, error) {
	sum, plainSum := sha256.New(), sha256.New()
	packed := bufio.NewReader(io.TeeReader(content, sum))
	plain, err := unpacked(packed)
	if err != nil {
		return nil, err
	}
	stream := a.scan.stream()
	seen := []io.Writer{stream}
	if plain != packed {
		seen = append(seen, plainSum)
	}
	m := &part{kind: sniff(plain)}
	whole := io.TeeReader(&reader{plain, a.scan.budget, name}, io.MultiWriter(seen...))
	switch m.kind {
	case isLayer:
		m.layer, err = readLayer("layer "+shortName(name), whole, a.scan, stream)
	case isJSON:
		if m.text, err = io.ReadAll(io.LimitReader(whole, maxJSON+1)); len(m.text) > maxJSON {
			m.kind, m.text = isLarge, nil
		}
	}
	if err != nil {
		return nil, err
	}
	if err := a.scan.hold(name, len(m.text)); err != nil {
		return nil, err
	}
	// Bytes behind the end of a tar are bytes of the image too.
	if _, err := io.Copy(io.Discard, whole); err != nil {
		return nil, err
	}
	if stream.Found() {
		a.scan.leak("", strings.TrimPrefix(name, "/"))
	}
	m.sum = hex.EncodeToString(sum.Sum(nil))
	if m.plain = m.sum; plain != packed {
		m.plain = hex.EncodeToString(plainSum.Sum(nil))
	}
	return m, nil
}

// unpacked undoes gzip once, if r is compressed. Otherwise it returns r.
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
	for _, part := range findNames(path.Clean(name)) {
		if len(part) >= 64 {
			return part[:12]
		}
	}
	return strings.TrimPrefix(name, "/")
}
