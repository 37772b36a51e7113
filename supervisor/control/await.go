// SPDX-License-Identifier: Apache-2.0

package control

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"golang.org/x/sys/unix"

	"github.com/gateway-init/gateway-init/internal/fsafe"
)

// await polls for the reply. The file is replaced atomically, so it needs no lock,
// and a requester that waits costs PID 1 nothing.
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
			if gone = c.supervisorGone(gone); gone >= 2 {
				// It may have replied just before it ended.
				if reply, err := c.read(nonce); err == nil && reply.Final() {
					return reply, nil
				}
				return Reply{}, fmt.Errorf("%w any more: it ended while the request was waiting", ErrNoSupervisor)
			}
		}
		if err := pollPause(ctx, wait); err != nil {
			return Reply{}, err
		}
	}
}

// supervisorGone returns how many looks in a row found no supervisor. One look is not
// enough, because a FIFO that is just being replaced has no reader for an instant.
func (c *Client) supervisorGone(before int) int {
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

// read returns the reply so far. The error is fs.ErrNotExist if there is no file
// yet.
func (c *Client) read(nonce string) (Reply, error) {
	dir, err := c.openDir(c.dir, Dir)
	if err != nil {
		return Reply{}, unsafeError(err)
	}
	defer dir.Close()
	replies, err := c.openDir(dir, Replies)
	if err != nil {
		return Reply{}, unsafeError(err)
	}
	defer replies.Close()
	f, err := fsafe.OpenAt(replies, nonce, unix.O_RDONLY)
	if err != nil {
		return Reply{}, unsafeError(err)
	}
	defer f.Close()
	want := fsafe.Want{Type: fsafe.Regular, UID: &c.Owner, Mode: fsafe.Mode(0o600)}
	info, err := fsafe.Verify(f, want)
	if err != nil {
		return Reply{}, unsafeError(err)
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

func unsafeError(err error) error {
	if errors.Is(err, fsafe.ErrUnsafe) {
		return fmt.Errorf("%w: %w", ErrUnsafe, err)
	}
	return err
}

// pollPause waits for d, or for the end of ctx.
func pollPause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return contextError(ctx)
	case <-t.C:
		return nil
	}
}

// contextError returns context.Canceled if ctx was canceled, or else ErrDeadline. The
// file's own deadline may expire an instant before ctx reports its deadline.
func contextError(ctx context.Context) error {
	if errors.Is(ctx.Err(), context.Canceled) {
		return context.Canceled
	}
	return ErrDeadline
}
