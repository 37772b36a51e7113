// SPDX-License-Identifier: Apache-2.0

// Package config reads /etc/gateway-init/config.json, and defines its shape, its
// defaults and its limits. docs/design.md, section 6, says why.
package config

import (
	"syscall"
	"time"
)

// DefaultDir decides the mode, which is gateway mode if it exists and plain init if
// not.
const (
	DefaultDir  = "/etc/gateway-init"
	DefaultFile = "/etc/gateway-init/config.json"
	MaxSize     = 64 << 10 // bytes
)

// Config is the effective configuration, with every default filled in and every
// value within its limits.
type Config struct {
	Gateway           Gateway
	Publish           *Publish // nil: no port is published
	RelayUser         string
	Prepare           []Prepare
	SandboxUser       string
	SandboxGroups     []int // gids beyond those of /etc/group
	SandboxEvict      bool
	SandboxEvictPort  bool
	OperatorUser      string
	OperatorEnv       []string // of every client, as Gateway.Env
	OperatorPassEnv   []string // as Gateway.PassEnv
	Clients           []Client // in the order of the file
	Sidecars          []Sidecar
	RuntimeDir        string // absolute and clean
	RequireTmpfs      bool
	RequireHardening  bool
	RequireSeparation bool
	CommandStart      string // "after-gateway" or "immediate"
	LogFormat         string // "json" or "text"
}

// Gateway is the child that serves.
type Gateway struct {
	Command    []string // Command[0] is an absolute path
	User       string   // NAME, NAME:GROUP, UID or UID:GID
	Groups     []int    // as SandboxGroups
	WorkingDir string
	Env        []string // "KEY=value", in the order of the file
	PassEnv    []string // names
	TokenEnv   string
	Confine    string        // ConfineProc, or "none"
	Port       uint16        // 0: another one for each start
	PortEnv    string        // the variable that gets the port; "": none
	PassFD     bool          // the gateway gets the published port's listening sockets
	Ready      Probe         // Interval is unused
	GiveUp     time.Duration // a gateway that was not proven by then is replaced
	Health     Probe
	AuthCheck  *AuthCheck // nil if the proof has no such part
	StopSignal syscall.Signal
	StopGrace  time.Duration
	Reload     syscall.Signal // by which it reads its configuration again; 0: none
	BackoffMin time.Duration
	BackoffMax time.Duration
	ResetAfter time.Duration
	HoldCodes  []int
	ExitTexts  []ExitText
	Nofile     uint64 // 0: leave as it is
}

// ConfineProc is the value of Confine that asks for the rule of package confine.
const ConfineProc = "proc"

// ExitText is the meaning of an exit code of this gateway, in words.
type ExitText struct {
	Code int
	Text string
}

// ExitText returns the text of a code, or "".
func (g *Gateway) ExitText(code int) string {
	for _, e := range g.ExitTexts {
		if e.Code == code {
			return e.Text
		}
	}
	return ""
}

// Probe is one HTTP GET and the conditions for a good answer.
type Probe struct {
	Path     string        `json:"path"`
	Status   []int         `json:"status"`
	JSON     []Expect      `json:"json,omitempty"` // every one must hold
	Timeout  time.Duration `json:"timeout"`
	Interval time.Duration `json:"-"`
}

// Expect is a member of the answer's top-level object that must have exactly
// this scalar value. Value is its canonical JSON text: true, null, 5, "live".
type Expect struct {
	Key   string `json:"key"`
	Value string `json:"value"`
}

// AuthCheck is the request that proves which token is in force.
type AuthCheck struct {
	Method       string `json:"method"`
	Path         string `json:"path"`
	Body         string `json:"body"`
	WithToken    []int  `json:"with_token"`
	WithoutToken []int  `json:"without_token"`
}

// Prepare is an entry that must exist before each start of the gateway.
type Prepare struct {
	Path  string // absolute and clean
	Type  string // "directory"
	Owner string // as Gateway.User
	Mode  uint32 // permission bits
}

// Sidecar is a further child.
type Sidecar struct {
	Name       string
	Command    []string
	User       string
	WorkingDir string // "" means /
	Env        []string
	PassEnv    []string
	TokenEnv   string // "" (no token) unless User is the gateway's or the operator's
	Restart    string // "always", "on-failure" or "never"
	Pending    string // what status says while it does not run, or a one-shot is not done; "": its name
}

// SidecarEnv is set in the environment of each sidecar, to its name. It
// distinguishes the gateway from a sidecar that is given the token. Another process
// that sets it is not taken for a gateway, and that is all.
const SidecarEnv = "GATEWAY_INIT_SIDECAR"

// Client is a program that gatewayctl runs as the operator, with the token.
type Client struct {
	Name    string
	Command []string // Command[0] is an absolute path
}
