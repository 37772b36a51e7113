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

	"gatewayinit/internal/fsafe"
	"gatewayinit/internal/sys"
)

// What a Client answers instead of a reply.
var (
	ErrNoSupervisor = errors.New("no supervisor answers here")
	ErrDeadline     = errors.New("deadline passed")
	ErrUnsafe       = errors.New("unsafe control file") // something is there, and it is not PID 1's
	ErrGarbage      = errors.New("reply is not one")    // written by the owner, but no reply to us
)

// UnsentError wraps an error that came before the request was written.
type UnsentError struct{ Err error }

func (e *UnsentError) Error() string { return e.Err.Error() }
func (e *UnsentError) Unwrap() error { return e.Err }

// Waiting for a reply starts at pollMin, so that a probe is not slowed down,
// and ends at pollMax: a restart takes seconds. Life is asked for every lifeEvery.
const (
	pollMin   = time.Millisecond
	pollMax   = 25 * time.Millisecond
	lifeEvery = 250 * time.Millisecond
)

// maxReply bounds a reply file in bytes.
const maxReply = 512

// Client sends requests to the supervisor of one runtime directory. Only its
// owner can: the kernel refuses everybody else at the control directory.
type Client struct {
	dir *os.File // the runtime directory; the caller's

	// Owner is the supervisor's uid: it must own FIFO and replies.
	Owner uint32
	// Booting tells, while there is no usable FIFO, whether one may still
	// appear (PID 1 has just started, or is about to replace what is in its
	// place). Nil: never, the first failure is final.
	Booting func() bool
	// Alive tells, while a reply is waited for, whether the supervisor that got
	// the request still runs. Nil: only the FIFO's read end is looked at.
	Alive func() error
	// Stage is where the supervisor is with the request of this nonce; "" if it
	// does not say. It is asked only if Do got an onStage.
	Stage func(nonce string) string
}

// NewClient returns a client of the supervisor whose runtime directory dir is,
// owned by root. dir stays the caller's and must outlive the client.
func NewClient(dir *os.File) *Client { return &Client{dir: dir} }

// Do sends r with a fresh nonce and returns the final reply; a reply that says
// "failed" is no error. onStage, if not nil, is called from here at each change
// of stage, "accepted" first. ctx bounds the whole; when it ends the request
// stays queued and its effect may still come.
//
// Errors match ErrNoSupervisor, ErrDeadline, ErrUnsafe, ErrGarbage or
// context.Canceled; inside an *UnsentError if nothing can come of it any more.
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

// submit writes the frame, waiting for a supervisor that is still coming up and
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
		if pauseErr := pause(ctx, wait); pauseErr != nil {
			return fmt.Errorf("%w (%w)", pauseErr, err)
		}
	}
}

// classify makes the error of a failed submission one of ours.
func classify(err error) error {
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, unix.ENXIO), errors.Is(err, unix.EPIPE):
		return fmt.Errorf("%w: %w", ErrNoSupervisor, err)
	case errors.Is(err, fsafe.ErrUnsafe):
		return fmt.Errorf("%w: %w", ErrUnsafe, err)
	}
	return err
}

// write makes one attempt. A frame is at most PIPE_BUF, so that the kernel takes
// all of it or nothing (pipe(7)); until then the poller waits for room. EPIPE
// means that the read end went away and nothing was taken.
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
		return fmt.Errorf("%w (%s is full)", ended(ctx), f.Name())
	}
	return err
}

// OpenFIFO opens the request FIFO for writing and verifies it: the owner's,
// 0600, one link. ENXIO: nobody has its read end open (fifo(7)). The caller owns
// the descriptor; it is non-blocking.
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

// openDir opens a directory of ours; nobody but its owner may write there.
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

// await polls for the reply: a file that is replaced atomically needs no lock,
// and a waiting requester costs PID 1 nothing.
func (c *Client) await(ctx context.Context, nonce string, onStage func(string)) (Reply, error) {
	stage, accepted, gone := "", false, 0
	report := func(s string) {
		if s != "" && s != stage && onStage != nil {
			stage = s
			onStage(s)
		}
	}
	looked := time.Now()
	for wait := pollMin; ; wait = min(2*wait, pollMax) {
		reply, err := c.read(nonce)
		switch {
		case err == nil && reply.Final():
			return reply, nil
		case err == nil && !accepted:
			accepted = true
			report(string(Accepted))
		case errors.Is(err, fs.ErrNotExist) && accepted:
			// Replies are replaced, and not removed while a requester waits. So a
			// missing one means that PID 1 was restarted.
			return Reply{}, fmt.Errorf("%w: the reply has vanished", ErrNoSupervisor)
		case err != nil && !errors.Is(err, fs.ErrNotExist):
			return Reply{}, err
		}
		if accepted && onStage != nil && c.Stage != nil {
			report(c.Stage(nonce))
		}
		if time.Since(looked) >= lifeEvery {
			looked = time.Now()
			if gone = c.gone(gone); gone >= 2 {
				// It may have replied just before it ended.
				if reply, err := c.read(nonce); err == nil && reply.Final() {
					return reply, nil
				}
				return Reply{}, fmt.Errorf("%w any more: it ended while the request was waiting", ErrNoSupervisor)
			}
		}
		if err := pause(ctx, wait); err != nil {
			return Reply{}, err
		}
	}
}

// gone counts the looks in a row that found no supervisor. One is not enough:
// a FIFO that is just being replaced has no reader for an instant.
func (c *Client) gone(before int) int {
	if c.Alive != nil && c.Alive() != nil {
		return before + 2
	}
	f, err := c.OpenFIFO()
	if err == nil {
		f.Close()
		return 0
	}
	if errors.Is(err, unix.ENXIO) || errors.Is(err, fs.ErrNotExist) {
		return before + 1
	}
	return 0
}

// read reads the reply so far. No file yet is fs.ErrNotExist.
func (c *Client) read(nonce string) (Reply, error) {
	dir, err := c.openDir(c.dir, Dir)
	if err != nil {
		return Reply{}, unsafe(err)
	}
	defer dir.Close()
	replies, err := c.openDir(dir, Replies)
	if err != nil {
		return Reply{}, unsafe(err)
	}
	defer replies.Close()
	f, err := fsafe.OpenAt(replies, nonce, unix.O_RDONLY)
	if err != nil {
		return Reply{}, unsafe(err)
	}
	defer f.Close()
	want := fsafe.Want{Type: fsafe.Regular, UID: &c.Owner, Mode: fsafe.Mode(0o600)}
	info, err := fsafe.Verify(f, want)
	if err != nil {
		return Reply{}, unsafe(err)
	}
	if info.Links > 1 { // 0: replaced by the next reply since we opened it
		return Reply{}, fmt.Errorf("%w: %s has %d links", ErrUnsafe, f.Name(), info.Links)
	}
	data, err := fsafe.ReadAll(f, maxReply)
	if err != nil {
		return Reply{}, fmt.Errorf("%w: %w", ErrGarbage, err)
	}
	reply, err := ParseReply(string(data))
	if err != nil {
		return Reply{}, fmt.Errorf("%w: %w", ErrGarbage, err)
	}
	if reply.Nonce != nonce {
		return Reply{}, fmt.Errorf("%w: %s answers another request", ErrGarbage, f.Name())
	}
	return reply, nil
}

func unsafe(err error) error {
	if errors.Is(err, fsafe.ErrUnsafe) {
		return fmt.Errorf("%w: %w", ErrUnsafe, err)
	}
	return err
}

// pause waits for d, or for the end of ctx.
func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ended(ctx)
	case <-t.C:
		return nil
	}
}

// ended is why ctx has ended, in our words. The file's own deadline may fire an
// instant before ctx notices its.
func ended(ctx context.Context) error {
	if errors.Is(ctx.Err(), context.Canceled) {
		return context.Canceled
	}
	return ErrDeadline
}
