// SPDX-License-Identifier: Apache-2.0

package relaylink

import (
	"fmt"
	"io"
	"os"

	"github.com/gateway-init/gateway-init/internal/proven"
	"github.com/gateway-init/gateway-init/internal/sys"
)

// Supervisor is PID 1's end. Send and SendNone are for one goroutine, Next for another.
type Supervisor struct {
	file *os.File
	out  update
	in   [requestSize]byte
}

// Pair returns PID 1's end, and the other one, which a child of PID 1 inherits. The
// caller owns both, and closes theirs when the child has it.
func Pair() (ours *Supervisor, theirs *os.File, err error) {
	f, theirs, err := sys.PacketPair()
	if err != nil {
		return nil, nil, fmt.Errorf("cannot make the relay's channel: %w", err)
	}
	return &Supervisor{file: f}, theirs, nil
}

// Send tells the relay that this life is proven, in place of the one before. The kernel
// duplicates the pidfd, so the caller keeps its own. Send never waits. An error means
// that the relay is gone or does not read, and then it must be replaced.
func (s *Supervisor) Send(life proven.Life) error { return s.send(kindLife, life, life.PIDFD) }

// SendNone tells the relay that no life is proven. It resets the connections of earlier
// lives, and lets new clients wait. The rest is as for Send.
func (s *Supervisor) SendNone(generation uint64) error {
	return s.send(kindNone, proven.Life{Generation: generation}, -1)
}

func (s *Supervisor) send(kind byte, life proven.Life, pidfd int) error {
	err := s.out.encode(kind, life)
	if err == nil {
		err = sys.SendPacketOn(s.file, s.out[:], pidfd)
	}
	if err != nil {
		return fmt.Errorf("cannot tell the relay about generation %d: %w", life.Generation, err)
	}
	return nil
}

// Next waits for the next request of the relay, which may send as many as it likes. The
// error is io.EOF when the relay has closed its end, and os.ErrClosed after Close. After
// any error the channel is of no more use.
func (s *Supervisor) Next() (Request, error) {
	n, err := sys.AwaitPacket(s.file, s.in[:])
	switch {
	case err != nil:
		return Request{}, fmt.Errorf("cannot read from the relay: %w", err)
	case n == 0:
		return Request{}, io.EOF
	}
	r, err := decodeRequest(s.in[:n])
	if err != nil {
		err = fmt.Errorf("cannot read from the relay: %w", err)
	}
	return r, err
}

// Close closes PID 1's end. The relay ends when it sees that.
func (s *Supervisor) Close() error { return s.file.Close() }
