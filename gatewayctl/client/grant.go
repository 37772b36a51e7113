// SPDX-License-Identifier: Apache-2.0

package client

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"time"

	"github.com/gateway-init/gateway-init/internal/sys"
	"github.com/gateway-init/gateway-init/tokenfile"
)

// ErrGatewayEnded is the cause of a KilledError if the gateway's process ended.
var ErrGatewayEnded = errors.New("the gateway has ended, and another process may have its port")

// KilledError is the error of Run if it killed the client that it had started.
type KilledError struct{ Cause error }

func (e *KilledError) Error() string { return "killed the client: " + e.Cause.Error() }
func (e *KilledError) Unwrap() error { return e.Cause }

// Grant is the token for a client, with the conditions of the client's right to it.
// The zero Grant is for a client without the token.
type Grant struct {
	// Token is in the client's environment. Run wipes it.
	Token *tokenfile.Secret
	// Gateway is a pidfd that the caller closes. When its process ends, Run kills
	// the client.
	Gateway *os.File
	// Gone is called when the client and all it started have ended. It is not
	// called if something survives SIGKILL.
	Gone func()
	// Check is called right before the fork. After its error nothing is started.
	Check func() error
	// Again is called every 200 ms while the client runs, if Gateway is set. After
	// its error Run kills the client. Calls do not overlap.
	Again func() error
}

func (g Grant) check() error {
	if g.Check == nil {
		return nil
	}
	return g.Check()
}

func (g Grant) gone() {
	if g.Gone != nil {
		g.Gone()
	}
}

// watch returns a channel that gets one KilledError when the client has to be
// killed. Without a gateway the channel gets nothing. The watch ends soon after
// done is closed.
func (g Grant) watch(done <-chan struct{}) <-chan error {
	lost := make(chan error, 1)
	if g.Gateway == nil {
		return lost
	}
	fd := int(g.Gateway.Fd())
	go func() {
		defer runtime.KeepAlive(g.Gateway)
		for {
			ended, err := sys.Ended(fd, watchEvery) // wakes up at once when the process ends
			select {
			case <-done:
				return
			default:
			}
			switch {
			case err != nil:
				err = fmt.Errorf("cannot watch the gateway: %w", err)
			case ended:
				err = ErrGatewayEnded
			case g.Again != nil:
				err = g.Again()
			}
			if err != nil {
				lost <- &KilledError{err}
				return
			}
		}
	}()
	return lost
}

// watchEvery is the time between two calls of Again.
const watchEvery = 200 * time.Millisecond
