// SPDX-License-Identifier: Apache-2.0

// Package external lets root operate a supervisor that does not run as root
// (docs/controller.md). It believes only what the kernel shows of the processes, and
// nothing that the shared user wrote.
package external

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/gateway-init/gateway-init/internal/policy"
	"github.com/gateway-init/gateway-init/internal/procfs"
	"github.com/gateway-init/gateway-init/internal/reason"
)

// Topologies, in the words of status.
const (
	Direct  = "direct"   // PID 1 is gateway-init and runs as root
	NonRoot = "non-root" // PID 1 is gateway-init without root
	Managed = "managed"  // gateway-init is the child of a foreign PID 1
	None    = "none"     // there is no gateway-init
)

// Errors of a command; each has its reason word (Failure).
var (
	ErrNone      = errors.New("no gateway-init runs here")
	ErrAmbiguous = errors.New("ambiguous")
	ErrUnproven  = errors.New("a gateway-init of root has left nothing that root owns")
	ErrIdle      = errors.New("the supervisor has no gateway")
	errChanged   = errors.New("another process now")
)

// Failure says why a command failed, and at which stage.
type Failure struct {
	Stage  string // the step that failed; "" if it is not known
	Reason reason.Reason
	Err    error
}

func (f *Failure) Error() string {
	if f.Stage == "" {
		return fmt.Sprintf("%s: %v", f.Reason, f.Err)
	}
	return fmt.Sprintf("%s: while %s: %v", f.Reason, f.Stage, f.Err)
}
func (f *Failure) Unwrap() error { return f.Err }

// stages shows how far a command is, and names the stage at which it fails.
type stages struct {
	say   func(stage string)
	stage string
}

func (s *stages) enter(stage string) {
	s.stage = stage
	s.say(stage)
}

// fail returns err with the stage and the reason word; nil stays nil.
func (s *stages) fail(err error) error {
	if err == nil || errors.As(err, new(*Failure)) {
		return err
	}
	return &Failure{s.stage, reasonOf(err), err}
}

func reasonOf(err error) reason.Reason {
	switch {
	case errors.Is(err, ErrIdle):
		return reason.NotRunning
	case errors.Is(err, errChanged), errors.Is(err, procfs.ErrChanged), errors.Is(err, procfs.ErrGone), errors.Is(err, procfs.ErrReplaced):
		return reason.IdentityChanged
	case errors.Is(err, ErrUnproven), errors.Is(err, ErrOurs), errors.Is(err, procfs.ErrNoPidfd), errors.Is(err, os.ErrPermission):
		return reason.NotPermitted
	}
	return reason.Unproven
}

// poll calls f until it is done or fails, with the pauses of a supervisor that looks for a
// listener.
func poll(ctx context.Context, f func() (done bool, err error)) error {
	for begin := time.Now(); ; {
		if done, err := f(); done || err != nil {
			return err
		}
		select {
		case <-time.After(policy.AttemptPause(time.Since(begin), false)):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
