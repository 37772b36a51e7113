// SPDX-License-Identifier: Apache-2.0

package control

import (
	"errors"
	"slices"
	"strconv"

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
	if errors.Is(err, unix.ENOSPC) {
		err = s.reuse(r.Nonce, data, err)
	}
	if r.Final() { // even if it failed, because the file may hold "accepted"
		s.keep(r.Nonce)
	}
	return err
}

// spares is the number of requests that can wait for their answers while the file system
// is full and no older reply is there.
const spares = 4

// Reserve makes the files that keep space for replies. It is called once, before others
// can fill the file system.
func (s *Server) Reserve() error {
	for i := range spares {
		name := spareName + strconv.Itoa(i)
		if err := fsafe.RemoveLeftover(s.dir, name, *ownUID()); err != nil {
			return err
		}
		f, err := fsafe.WriteNew(s.dir, name, []byte("\n"), 0o600, nil)
		if err != nil {
			return err
		}
		f.Close()
		s.spares = append(s.spares, name)
	}
	return nil
}

// spareName is the beginning of the names of the spares.
const spareName = "spare-"

// reuse writes a reply into a spare, or else into the oldest reply, because the file
// system has no space for a file. The file stays a spare, under its name, if it changes
// places with an earlier reply to the same request. full is the error if there is none.
func (s *Server) reuse(nonce string, data []byte, full error) error {
	for {
		dir, list := s.dir, &s.spares
		if len(*list) == 0 {
			dir, list = s.replies, &s.kept
		}
		if len(*list) == 0 {
			return full
		}
		name := (*list)[0]
		err := fsafe.Overwrite(dir, name, data)
		if err == nil {
			err = fsafe.Exchange(dir, name, s.replies, nonce)
		}
		if _, gone := fsafe.StatAt(dir, name); err != nil || gone != nil {
			*list = (*list)[1:]
		}
		if err == nil {
			return nil
		}
	}
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
