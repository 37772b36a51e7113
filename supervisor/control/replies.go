// SPDX-License-Identifier: Apache-2.0

package control

import (
	"errors"
	"slices"

	"golang.org/x/sys/unix"

	"github.com/gateway-init/gateway-init/internal/fsafe"
	"github.com/gateway-init/gateway-init/internal/sys"
)

// Bounds of the reply files that are kept. Each takes a page, so 512 do not fit
// into a runtime directory of 1 MiB. The oldest are removed as soon as they would
// use the space that the status record and a new token need. The newest few are not
// removed for that, because their readers may still be on their way.
const (
	maxReplies = 512
	minReplies = 16
	reserve    = 64 << 10 // bytes
)

// Reply publishes an answer. On error (no space) the request's effect stands.
func (s *Server) Reply(r Reply) error {
	for len(s.kept) >= maxReplies || len(s.kept) > minReplies && s.short() {
		s.forget()
	}
	data := []byte(r.String() + "\n")
	err := fsafe.Replace(s.replies, r.Nonce, data, 0o600)
	for errors.Is(err, unix.ENOSPC) && len(s.kept) > 0 {
		s.forget()
		err = fsafe.Replace(s.replies, r.Nonce, data, 0o600)
	}
	if r.Final() { // even if it failed, because the file may hold "accepted"
		s.keep(r.Nonce)
	}
	return err
}

// keep records a reply as the newest. A nonce that is answered again (replayed) is
// listed once. Otherwise the reply would be removed when its first entry is the
// oldest.
func (s *Server) keep(nonce string) {
	if i := slices.Index(s.kept, nonce); i >= 0 {
		s.kept = slices.Delete(s.kept, i, i+1)
	}
	s.kept = append(s.kept, nonce)
}

// short reports whether the file system has less free space than the reserve, or
// than a quarter of its size where that is less.
func (s *Server) short() bool {
	free, total, err := sys.Space(s.replies)
	return err == nil && total > 0 && free < min(reserve, total/4)
}

// forget removes the oldest reply. A file that cannot be removed, because root put
// another one there, must not keep other requesters from their replies.
func (s *Server) forget() {
	_ = fsafe.Remove(s.replies, s.kept[0])
	s.kept = s.kept[1:]
}
