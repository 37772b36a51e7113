// SPDX-License-Identifier: Apache-2.0

// Package external lets root operate a supervisor that does not run as root
// (docs/design.md, section 11). It finds that supervisor and its gateway by the
// facts that the kernel reports, and restarts the gateway by pidfd. It believes
// nothing that the shared user wrote, neither the status record nor an answer over
// the FIFO.
//
// It prevents three mistakes: the pid of a foreign process, a recycled pid and a
// false success. It cannot prove where a process came from, because an agent of the
// same user can trace, end or imitate the supervisor (docs/tcb.md).
package external

import (
	"errors"
	"fmt"
	"syscall"
	"time"

	"github.com/gateway-init/gateway-init/internal/config"
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
	ErrNone            = errors.New("no gateway-init runs here")
	ErrAmbiguous       = errors.New("ambiguous")
	ErrUnproven        = errors.New("a gateway-init of root has left nothing that root owns")
	ErrIdle            = errors.New("the supervisor has no gateway")
	errChanged         = errors.New("another process now")
	errHealth          = errors.New("does not serve")
	errUnmanagedBeside = errors.New("another process listens beside the gateway, and would be in the way of its next start")
)

// Failure says at which stage a command failed, and why.
type Failure struct {
	Stage  string // the step that failed
	Reason reason.Reason
	Err    error
}

func (f *Failure) Error() string { return fmt.Sprintf("%s: while %s: %v", f.Reason, f.Stage, f.Err) }
func (f *Failure) Unwrap() error { return f.Err }

// Settings holds the values that a controller takes from the configuration,
// which root owns.
type Settings struct {
	TokenEnv   string
	Command    []string
	Sidecars   [][]string // their commands
	Port       uint16
	Ready      config.Probe
	Health     config.Probe
	AuthCheck  *config.AuthCheck // nil if the proof has no such part
	StopSignal syscall.Signal
	StopGrace  time.Duration
}

// FromConfig returns the part of c that a controller needs.
func FromConfig(c *config.Config) Settings {
	g := c.Gateway
	s := Settings{TokenEnv: g.TokenEnv, Command: g.Command, Port: g.Port, Ready: g.Ready, Health: g.Health, AuthCheck: g.AuthCheck,
		StopSignal: g.StopSignal, StopGrace: g.StopGrace}
	for _, sidecar := range c.Sidecars {
		s.Sidecars = append(s.Sidecars, sidecar.Command)
	}
	return s
}
