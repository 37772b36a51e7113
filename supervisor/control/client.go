// SPDX-License-Identifier: Apache-2.0

package control

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"github.com/gateway-init/gateway-init/internal/fsafe"
	"github.com/gateway-init/gateway-init/internal/sys"
)

// Errors that a Client returns instead of a reply.
var (
	ErrNoSupervisor = errors.New("no supervisor answers here")
	ErrDeadline     = errors.New("deadline passed")
	ErrUnsafe       = errors.New("unsafe control file") // a file is there, but it is not PID 1's
	ErrGarbage      = errors.New("reply is not one")    // written by the owner, but no reply to our request
)

// UnsentError wraps an error that occurred before the request was written.
type UnsentError struct{ Err error }

func (e *UnsentError) Error() string { return e.Err.Error() }
func (e *UnsentError) Unwrap() error { return e.Err }

// The pause between two looks for a reply starts at pollMin, so that a probe is not
// slowed down, and grows to pollMax, because a restart takes seconds. The client
// checks every lifeEvery whether the supervisor still runs.
const (
	pollMin   = time.Millisecond
	pollMax   = 25 * time.Millisecond
	lifeEvery = 250 * time.Millisecond
)

// maxReply bounds a reply file in bytes.
const maxReply = 512

// Client sends requests to the supervisor of one runtime directory. Only its owner
// can do so, because the kernel refuses all other users at the control directory.
type Client struct {
	dir *os.File // the runtime directory, which the caller owns

	// Owner is the supervisor's uid, which must own the FIFO and the replies.
	Owner uint32
	// Booting reports, while there is no usable FIFO, whether one may still appear,
	// because PID 1 has just started or is about to replace the file in its place.
	// If it is nil, the first failure is final.
	Booting func() bool
	// Alive returns an error if the supervisor that got the request no longer runs.
	// It is called while a reply is waited for. If it is nil, only the FIFO's read
	// end is checked.
	Alive func() error
	// Stage returns the supervisor's progress with the request of this nonce, or ""
	// if it does not say. It is called only if Do got an onStage.
	Stage func(nonce string) string
}

// NewClient returns a client of the supervisor with the runtime directory dir.
// Owner is root. The caller keeps dir, which must outlive the client.
func NewClient(dir *os.File) *Client { return &Client{dir: dir} }

// Do sends r with a fresh nonce and returns the final reply. A reply that says
// "failed" is no error. onStage, if not nil, is called from this goroutine at each
// change of stage, "accepted" first. ctx bounds the whole call. When it ends, the
// request stays queued and may still take effect.
//
// Errors match ErrNoSupervisor, ErrDeadline, ErrUnsafe, ErrGarbage or
// context.Canceled. They are inside an *UnsentError if the request can no longer
// have an effect.
func (c *Client) Do(ctx context.Context, r Request, onStage func(stage string)) (Reply, error) {
	var random [NonceLen / 2]byte
	if err := sys.Random(random[:]); err != nil {
		return Reply{}, &UnsentError{fmt.Errorf("cannot draw a nonce: %w", err)}
	}
	r.Nonce = hex.EncodeToString(random[:])
	frame, err := Encode(r)
	if err != nil {
		return Reply{}, fmt.Errorf("cannot encode request: %w", err)
	}
	// A partial line that a dead client left must not corrupt this request.
	if err := c.submit(ctx, append([]byte{'\n'}, frame...)); err != nil {
		return Reply{}, &UnsentError{err}
	}
	return c.await(ctx, r.Nonce, onStage)
}

// submit writes the frame. It waits for a supervisor that is still starting, and
// for room in a full FIFO.
func (c *Client) submit(ctx context.Context, frame []byte) error {
	for wait := pollMin; ; wait = min(2*wait, pollMax) {
		err := c.write(ctx, frame)
		if err == nil || errors.Is(err, context.Canceled) || errors.Is(err, ErrDeadline) {
			return err
		}
		if c.Booting == nil || !c.Booting() {
			return classify(err)
		}
		if pauseErr := pollPause(ctx, wait); pauseErr != nil {
			return fmt.Errorf("%w (%w)", pauseErr, err)
		}
	}
}

// classify adds ErrNoSupervisor or ErrUnsafe to the error of a failed submission,
// where one of them applies.
func classify(err error) error {
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, unix.ENXIO), errors.Is(err, unix.EPIPE):
		return fmt.Errorf("%w: %w", ErrNoSupervisor, err)
	case errors.Is(err, fsafe.ErrUnsafe):
		return fmt.Errorf("%w: %w", ErrUnsafe, err)
	}
	return err
}

// write makes one attempt. A frame is at most PIPE_BUF, so the kernel takes all of
// it or nothing (pipe(7)). If there is no room, the poller waits. EPIPE means that
// the read end went away and nothing was taken.
func (c *Client) write(ctx context.Context, frame []byte) error {
	f, err := c.OpenFIFO()
	if err != nil {
		return err
	}
	defer f.Close()
	if deadline, ok := ctx.Deadline(); ok {
		if err := f.SetWriteDeadline(deadline); err != nil {
			return fmt.Errorf("cannot bound write to %s: %w", f.Name(), err)
		}
	}
	stop := context.AfterFunc(ctx, func() { f.SetWriteDeadline(time.Unix(1, 0)) })
	defer stop()
	_, err = f.Write(frame)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return fmt.Errorf("%w (%s is full)", contextError(ctx), f.Name())
	}
	return err
}

// OpenFIFO opens the request FIFO for writing and verifies that it belongs to Owner
// and has mode 0600 and one link. The error is ENXIO if no process has its read end
// open (fifo(7)). The caller owns the descriptor, which is non-blocking.
func (c *Client) OpenFIFO() (*os.File, error) {
	dir, err := c.openDir(c.dir, Dir)
	if err != nil {
		return nil, err
	}
	defer dir.Close()
	f, err := fsafe.OpenAt(dir, FIFO, unix.O_WRONLY)
	if err != nil {
		return nil, err
	}
	want := fsafe.Want{Type: fsafe.FIFO, UID: &c.Owner, Mode: fsafe.Mode(0o600), Links: 1}
	if _, err := fsafe.Verify(f, want); err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// openDir opens a directory of the supervisor and verifies that Owner owns it and
// that no other user may write there.
func (c *Client) openDir(parent *os.File, name string) (*os.File, error) {
	dir, err := fsafe.OpenDirAt(parent, name)
	if err != nil {
		return nil, err
	}
	if _, err := fsafe.Verify(dir, fsafe.Want{UID: &c.Owner, NotWritableByOthers: true}); err != nil {
		dir.Close()
		return nil, err
	}
	return dir, nil
}
