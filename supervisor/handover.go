package supervisor

import (
	"fmt"
	"os"
	"syscall"

	"gatewayinit/internal/launch"
)

// A sidecar of the operator's user may have the token, and neither it nor PID 1
// can read the file: only its owner, the gateway's user, can. So a short-lived
// reader with that UID reads and verifies it, and writes it into a pipe, and the
// sidecar's launch stage reads it there and verifies it again. PID 1 makes the
// pipe, gives each its end, closes both, and never reads.
//
// The pipe's inode is root's 0600: nobody opens it by way of /proc. What has the
// UID of one side can trace that side; it may have the token anyway. What it
// writes instead is not the token of this digest.

// current is t with the digest of the token in force.
func (s *Supervisor) current(t *launch.Token) *launch.Token {
	if t == nil {
		return nil
	}
	c := *t
	c.Sum = s.c.Token.Sum()
	return &c
}

// launchSidecar forks c's child, and its reader if it needs one. A stage without
// a reader, or with one that fails, meets the end of the pipe.
func (s *Supervisor) launchSidecar(c *sidecar) error {
	l := c.launch
	l.Spec.Token = s.current(l.Spec.Token)
	if l.Spec.Token == nil || !l.Spec.Token.Handed {
		return s.start(l, c.child)
	}
	r, w, err := os.Pipe()
	if err != nil {
		return fmt.Errorf("cannot hand over the token: %w", err)
	}
	defer r.Close()
	defer w.Close()
	if err := s.startReader(c, w); err != nil {
		return fmt.Errorf("cannot hand over the token: %w", err)
	}
	l.Runtime = r
	if err := s.start(l, c.child); err != nil {
		c.dropReader()
		return err
	}
	return nil
}

func (s *Supervisor) startReader(c *sidecar, w *os.File) error {
	l := s.c.Worker
	l.Runtime, l.Stdio[1] = s.c.Gateway.Runtime, w
	l.Spec.Hand = s.current(s.c.Gateway.Spec.Token)
	reader := &child{done: func(*child) {}}
	if err := s.start(l, reader); err != nil {
		return err
	}
	c.reader = reader
	return nil
}

// dropReader: the stage has its token, or will never have it. A reader that
// somebody stopped would stay for ever.
func (c *sidecar) dropReader() {
	if c.reader.alive() {
		c.reader.proc.Signal(syscall.SIGKILL)
	}
	c.reader = nil
}
