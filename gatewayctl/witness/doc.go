// Package witness looks at the processes of another user from a process of that
// user. Root in a container has no CAP_SYS_PTRACE, so the kernel shows it neither
// the environment nor the descriptors nor the namespaces of anybody else's
// processes; a process of the same uid and gid sees them, if it may be traced
// (ptrace(2), access mode checking).
//
// The witness is the caller's own program once more. It steps down by itself:
// the program may be root's alone to execute. After that it cannot be traced,
// because a change of uid clears the dumpable flag (proc(5), suid_dumpable), so
// the agent can stop it or end it and cannot make it lie; its answers are waited
// for with a deadline.
package witness

import (
	"gatewayinit/supervisor/proof"
)

// Question is what a witness is asked; exactly one part is set.
type Question struct {
	Children *Children `json:"children,omitempty"`
	Judge    *Judge    `json:"judge,omitempty"`
	Holders  *Holders  `json:"holders,omitempty"`
}

// Children asks which children of a supervisor lead a session, as it starts
// each, and have the variable TokenEnv in the environment that they were started
// with, and not that of sidecars, which may be given the token too. Nothing else
// tells a gateway from the other children: its title and its arguments are its
// own to change.
type Children struct {
	Of       proof.Process `json:"of"`
	TokenEnv string        `json:"token_env"`
}

// Judge asks whether a process, or one that descends from it, holds all
// listeners of the job's port, and whether it answers there as the job says. A
// job without a deadline asks nothing of it. With TokenEnv the token that the
// gateway was started with, in that variable, is the one for the job's Auth, and
// its digest is answered.
type Judge struct {
	Gateway  proof.Process `json:"gateway"`
	Job      proof.Job     `json:"job"`
	TokenEnv string        `json:"token_env,omitempty"`
}

// Holders asks which processes of the witness' user have a listener of the port.
type Holders struct {
	Port uint16 `json:"port"`
}

// Answer is what a witness found. Error is what it could not find out: then
// nothing else in it counts.
type Answer struct {
	Error     string           `json:"error,omitempty"`
	Elsewhere bool             `json:"elsewhere,omitempty"` // Judge: the gateway has another network namespace
	Processes []proof.Process  `json:"processes,omitempty"` // Children, Holders
	Ownership proof.Ownership  `json:"ownership"`
	Foreign   []proof.Listener `json:"foreign,omitempty"`
	Beside    bool             `json:"beside,omitempty"` // the gateway listens, too
	Verdict   proof.Verdict    `json:"verdict"`
	Token     string           `json:"token,omitempty"` // the digest, in hex
}
