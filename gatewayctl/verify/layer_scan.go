// SPDX-License-Identifier: Apache-2.0

package verify

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash"
	"io"
	"path"

	"github.com/gateway-init/gateway-init/gatewayctl/seal"
	"github.com/gateway-init/gateway-init/gatewayctl/tokenscan"
	"github.com/gateway-init/gateway-init/internal/config"
	"github.com/gateway-init/gateway-init/internal/fsafe"
	"github.com/gateway-init/gateway-init/internal/nodeflags"
)

// Paths of our two programs in every image.
const (
	initPath  = "/usr/local/sbin/gateway-init"
	relayPath = "/usr/local/sbin/gateway-relay"
	ctlPath   = "/usr/local/bin/gatewayctl"
)

const (
	passwdPath = "/etc/passwd"
	groupPath  = "/etc/group"
)

// trace is a file or directory, in some layer, whose name a check looks at.
type trace struct {
	layer, path string
	secret      string // of an own configuration: the secret in it, in words; "" if none
}

func (t trace) String() string {
	if t.layer == "" {
		return t.path
	}
	return t.path + " in " + t.layer
}

// layerScan looks at every layer while it is read, also if a later layer removes
// its files, because a user that has the image has its layers.
type layerScan struct {
	*budget
	known  Profiles
	tokens *tokenscan.Set  // nil if no token was given
	keep   map[string]bool // paths whose content stays in memory
	sums   map[string]bool // paths of a directory whose hash is wanted
	traces []trace
	leaks  []string // places with bytes of the token
	text   textScan
	copied []byte // a buffer

	// assigned has the places where a variable with the name of a secret gets a
	// value.
	assigned map[string]*places
}

// places are the first few places of a finding.
type places struct {
	first []string
	more  int
}

func newLayerScan(tokens *tokenscan.Set, known Profiles) *layerScan {
	s := &layerScan{budget: newBudget(), known: known, tokens: tokens, keep: map[string]bool{}, sums: map[string]bool{initPath: true, ctlPath: true},
		assigned: map[string]*places{}, copied: make([]byte, 32<<10)}
	s.text.names = known.tokenNames()
	for _, p := range []string{passwdPath, groupPath, config.DefaultFile, seal.PinFile} {
		s.keep[p] = true
	}
	for _, file := range known.ownFiles() {
		s.keep[file] = true
	}
	return s
}

// isWatched reports whether a check looks at files of this name in every layer.
func (s *layerScan) isWatched(base string) bool {
	return isRuntime(base) || isToken(base) || s.known.isDevice(base) || s.known.isOwnConfig(base)
}

// wants reports whether a file's content has to be read, also if it is no text.
func (s *layerScan) wants(unsafePath string) bool {
	return s.tokens != nil || s.keep[unsafePath] || s.sums[unsafePath] || s.known.isOwnConfig(path.Base(unsafePath))
}

// name notes a name of a layer.
func (s *layerScan) name(layer, unsafePath string) {
	if s.isWatched(path.Base(unsafePath)) {
		s.traces = append(s.traces, trace{layer: layer, path: unsafePath})
	}
	if s.tokens != nil && s.tokens.Find([]byte(unsafePath)) >= 0 {
		s.leak(layer, "the name "+unsafePath)
	}
}

// leak notes a place. If the place's own name is the leak, it is cut before the
// leak.
func (s *layerScan) leak(layer, place string) {
	if i := s.tokens.Find([]byte(place)); i >= 0 {
		place = place[:i] + "..."
	}
	s.leaks = append(s.leaks, trace{layer: layer, path: place}.String())
}

// stream returns a search for the token in one text. Without a token it is nil,
// which accepts anything.
func (s *layerScan) stream() *tokenscan.Stream {
	if s.tokens == nil {
		return nil
	}
	return s.tokens.Stream()
}

// content reads the regular file at a path of a layer to its end. It is called after
// name.
func (s *layerScan) content(layer, unsafePath string, n *node, r io.Reader) error {
	base, small := path.Base(unsafePath), n.size <= seal.MaxSize
	own := s.known.isOwnConfig(base)
	var kept bytes.Buffer
	var sum hash.Hash
	var noted error
	writers := []io.Writer{s.textOf(layer, unsafePath, &noted)}
	if small || s.sums[unsafePath] {
		sum = sha256.New()
		writers = append(writers, sum)
	}
	if small && (own || s.keep[unsafePath]) {
		writers = append(writers, &kept)
	}
	var first head
	if n.mode&0o111 != 0 {
		writers = append(writers, &first)
	}
	_, err := io.CopyBuffer(io.MultiWriter(writers...), r, s.copied)
	s.text.end()
	if err = cmp.Or(err, noted); err != nil {
		return fmt.Errorf("cannot read %.200s: %w", unsafePath, err)
	}
	if sum != nil {
		n.sum = hex.EncodeToString(sum.Sum(nil))
	}
	if err := s.script(unsafePath, n, first); err != nil {
		return err
	}
	if s.keep[unsafePath] {
		n.data = kept.Bytes()
		if err := s.hold(unsafePath, len(n.data)); err != nil {
			return err
		}
	}
	if own {
		s.traces[len(s.traces)-1].secret = s.findSecret(base, kept.Bytes(), small)
	}
	return nil
}

// textOf returns a search for assignments in the text of a file, the only one at a
// time. noted gets the error if there is no memory for them.
func (s *layerScan) textOf(layer, unsafePath string, noted *error) *textScan {
	lenient, isCode := isLenient(unsafePath)
	s.text = textScan{names: s.text.names, lenient: lenient, code: isCode, buf: s.text.buf[:0]}
	s.text.found = func(name string, line int) {
		if err := s.assignment(layer, unsafePath, name, line); *noted == nil {
			*noted = err
		}
	}
	return &s.text
}

// assignment notes an assignment to a variable.
func (s *layerScan) assignment(layer, unsafePath, name string, line int) error {
	at := s.assigned[name]
	if at == nil {
		at = &places{}
		s.assigned[name] = at
		if err := s.hold(unsafePath, entryCost); err != nil {
			return err
		}
	}
	if len(at.first) == fewFindings {
		at.more++
		return nil
	}
	place := trace{layer: layer, path: fmt.Sprintf("%s:%d", unsafePath, line)}.String()
	at.first = append(at.first, place)
	return s.hold(unsafePath, len(place))
}

// head is the beginning of a text, as much as the kernel reads of a program.
type head []byte

func (h *head) Write(p []byte) (int, error) {
	*h = append(*h, p[:min(len(p), nodeflags.HeadSize-len(*h))]...)
	return len(p), nil
}

// script keeps the beginning of an executable script, because its interpreter is
// the program that runs.
func (s *layerScan) script(unsafePath string, n *node, first head) error {
	if !bytes.HasPrefix(first, []byte("#!")) {
		return nil
	}
	n.head = first
	return s.hold(unsafePath, len(first))
}

func (s *layerScan) findSecret(base string, data []byte, small bool) string {
	if !small {
		return fmt.Sprintf("it is larger than %d bytes, so it may hold a token", seal.MaxSize)
	}
	return s.known.secret(base, data)
}

// regular returns the content of a file that must be in the image, or an error
// that says why it cannot.
func (t *tree) regular(unsafePath string) ([]byte, error) {
	n := t.at(unsafePath)
	switch {
	case n == nil:
		return nil, fmt.Errorf("%s is missing", unsafePath)
	case n.kind != fsafe.Regular:
		return nil, fmt.Errorf("%s is %v, not a regular file", unsafePath, n.kind)
	case n.size > int64(len(n.data)):
		return nil, fmt.Errorf("%s could not be read", unsafePath)
	}
	return n.data, nil
}
