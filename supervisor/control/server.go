// SPDX-License-Identifier: Apache-2.0

package control

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/gateway-init/gateway-init/internal/fsafe"
)

// Incoming is a frame that arrived. If Err is set, the frame had no effect, and
// Nonce is set if that much was readable.
type Incoming struct {
	Request
	Err error
}

// Server is PID 1's end of the FIFO and of the replies. All methods belong to one
// goroutine, the supervisor's. Another goroutine reads the FIFO.
type Server struct {
	dir, replies *os.File
	fifo         *os.File
	info         fsafe.Info
	out          chan Incoming
	kept         []string // reply files in the order they appeared
	spares       []string // files in dir that keep space for replies
}

// NewServer makes control/, control/replies/ and the FIFO in the runtime directory,
// which the caller keeps. Leftover files of an earlier run are verified and
// removed. Anything else under these names is refused by name, because a process
// that could make it could do worse.
func NewServer(runtime *os.File) (_ *Server, err error) {
	s := &Server{out: make(chan Incoming, 16)}
	defer func() {
		if err != nil {
			s.Close()
		}
	}()
	if s.dir, err = makeDir(runtime, Dir); err != nil {
		return nil, err
	}
	if s.replies, err = makeDir(s.dir, Replies); err != nil {
		return nil, err
	}
	if err = s.removeReplies(); err != nil {
		return nil, err
	}
	if err = s.removeFIFO(fsafe.Want{Type: fsafe.FIFO, UID: ownUID(), Links: 1}); err != nil {
		return nil, err
	}
	return s, s.open()
}

// Requests returns the channel on which frames arrive.
func (s *Server) Requests() <-chan Incoming { return s.out }

// Close closes the descriptors, and the reading goroutine ends.
func (s *Server) Close() {
	for _, f := range []*os.File{s.fifo, s.replies, s.dir} {
		if f != nil {
			f.Close()
		}
	}
}

func ownUID() *uint32 { return fsafe.ID(uint32(os.Geteuid())) }

// makeDir opens or creates a directory that only we can use.
func makeDir(parent *os.File, name string) (*os.File, error) {
	dir, err := fsafe.MakeDir(parent, name, 0o700)
	if !errors.Is(err, fs.ErrExist) {
		return dir, err
	}
	if dir, err = fsafe.OpenDirAt(parent, name); err != nil {
		return nil, err
	}
	if _, err := fsafe.Verify(dir, fsafe.Want{Type: fsafe.Directory, UID: ownUID(), Mode: fsafe.Mode(0o700)}); err != nil {
		dir.Close()
		return nil, err
	}
	return dir, nil
}

func (s *Server) removeReplies() error {
	names, err := s.replies.Readdirnames(-1)
	if err != nil {
		return err
	}
	for _, name := range names {
		if _, err := fsafe.VerifyAt(s.replies, name, fsafe.Want{Type: fsafe.Regular, UID: ownUID(), Links: 1}); err != nil {
			return err
		}
		if err := fsafe.Remove(s.replies, name); err != nil {
			return err
		}
	}
	return nil
}

// removeFIFO removes the file that has the FIFO's name, if it matches w.
func (s *Server) removeFIFO(w fsafe.Want) error {
	_, err := fsafe.VerifyAt(s.dir, FIFO, w)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	}
	return fsafe.Remove(s.dir, FIFO)
}

// open makes the FIFO and starts its reader.
func (s *Server) open() error {
	f, info, err := fsafe.MakeFIFO(s.dir, FIFO, 0o600)
	if err != nil {
		return err
	}
	s.fifo, s.info = f, info
	go readRequests(f, s.out)
	return nil
}

// readRequests sends frames to out until the FIFO is closed. It waits in the runtime's
// poller, not in a system call, so it holds no thread. When the supervisor is slow,
// read stops reading. Then the pipe fills, and writers get EAGAIN.
func readRequests(f *os.File, out chan<- Incoming) {
	var split splitter
	buf := make([]byte, maxFrame)
	for {
		n, err := f.Read(buf)
		if err != nil {
			return // closed; a new FIFO has its own reader
		}
		split.feed(buf[:n], func(line []byte) {
			if line == nil {
				out <- Incoming{Err: ErrMalformed}
				return
			}
			if len(line) == 0 { // clients write a newline first: see Client.Do
				return
			}
			r, err := Decode(line)
			out <- Incoming{r, err}
		})
	}
}

// Check verifies that the FIFO's name still is our inode, with our uid, mode 0600
// and one link. If not, it creates a new FIFO and returns the problem. Where we are
// root, only root can have changed it, by mistake.
func (s *Server) Check() (problem error, err error) {
	info, problem := fsafe.VerifyAt(s.dir, FIFO, fsafe.Want{
		Type: fsafe.FIFO, UID: ownUID(), Mode: fsafe.Mode(0o600), Links: 1,
	})
	if problem == nil && info.Same(s.info) {
		return nil, nil
	}
	if problem == nil {
		problem = fmt.Errorf("%s is another FIFO than ours", FIFO)
	}
	if info.Type == fsafe.Directory {
		err = fsafe.RemoveDir(s.dir, FIFO)
	} else if err = fsafe.Remove(s.dir, FIFO); errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	if err != nil {
		return problem, err
	}
	s.fifo.Close()
	return problem, s.open()
}
