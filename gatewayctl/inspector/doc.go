// SPDX-License-Identifier: Apache-2.0

// Package inspector inspects the processes of another user from a process of that
// user. Root in a container has no CAP_SYS_PTRACE, so the kernel does not show it
// the environment, the descriptors or the namespaces of another user's processes. A
// process of the same uid and gid sees them, if the inspected process may be traced
// (ptrace(2), access mode checking).
//
// The inspector is another process of the caller's own program that has stepped down
// (gatewayctl/stepdown). So the agent can stop it or end it, but cannot make it lie.
// The caller waits for its answers with a deadline.
package inspector

import (
	"github.com/gateway-init/gateway-init/internal/procfs"
	"github.com/gateway-init/gateway-init/internal/sockets"
	"github.com/gateway-init/gateway-init/supervisor/proof"
)

// Question is one question to an inspector; exactly one part is set.
type Question struct {
	Children *Children `json:"children,omitempty"`
	Judge    *Judge    `json:"judge,omitempty"`
	Holders  *Holders  `json:"holders,omitempty"`
}

// Children asks which children of a supervisor may be its gateway. They lead a
// session, as all processes do that it starts. They were started with the variable
// TokenEnv in their environment, and without the variable of sidecars, which may be
// given the token too. Nothing else tells a gateway from the other children,
// because a gateway can change its title and its arguments.
type Children struct {
	Of       procfs.ID `json:"of"`
	TokenEnv string    `json:"token_env"`
}

// Judge asks whether a process, or one that descends from it, holds all listeners
// of the job's port, and whether it answers there as the job says. A job without a
// deadline does not ask the process. With TokenEnv the token for the job's Auth is
// the value of that variable in the gateway's first environment. The answer has the
// token's digest.
type Judge struct {
	Gateway  procfs.ID `json:"gateway"`
	Job      proof.Job `json:"job"`
	TokenEnv string    `json:"token_env,omitempty"`
}

// Holders asks which processes of the inspector's user have a listener of the port.
type Holders struct {
	Port uint16 `json:"port"`
}

// Answer is the result of an inspector. Error says why the inspector could not find
// it out; then no other field counts.
type Answer struct {
	Error     string             `json:"error,omitempty"`
	Elsewhere bool               `json:"elsewhere,omitempty"` // Judge: the gateway has another network namespace
	Processes []procfs.ID        `json:"processes,omitempty"` // Children, Holders
	Ownership proof.Ownership    `json:"ownership"`
	Foreign   []sockets.Listener `json:"foreign,omitempty"`
	Beside    bool               `json:"beside,omitempty"` // a foreign listener is beside one of the gateway
	Verdict   proof.Verdict      `json:"verdict"`
	Token     string             `json:"token,omitempty"` // the digest, in hex
}
