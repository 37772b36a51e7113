// SPDX-License-Identifier: Apache-2.0

// Package launch starts children of PID 1 in two steps. The fork sets the target's
// UID, GID and groups and executes gateway-init again as that user. This re-exec
// child sets the properties of the new process (umask, limits, descriptors,
// environment, token), then executes the target. PID 1 itself never holds the token.
// It changes no state of its own for a child, except its OOM score during the fork
// (raiseScore).
//
// The re-exec child gets its orders as a Spec in an anonymous file and answers over a
// close-on-exec pipe. Ready and then end of file mean that the target runs. A line
// means that it does not.
package launch

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"syscall"
)

// ReexecName is the re-exec child's argv[0]. A user who executes gateway-init under
// it gains nothing, because it runs with the rights of its caller.
const ReexecName = "gateway-init:reexec"

// Descriptors of the re-exec child beyond 0 to 2.
const (
	SpecFD   = 3
	ReportFD = 4
	TokenFD  = 5 // with a Token: the token file, open for reading
	LifeFD   = 6 // of a worker: the gateway's pidfd, where the kernel has one
	HoldFD   = 6 // of a confined target: a pipe that says when PID 1 holds its directory in /proc
	PassFD   = 7 // the first of Spec.Pass descriptors
)

// Bounds of a Spec's encoding, in bytes. config.json is at most 64 KiB. execve(2) takes
// arguments and an environment of a quarter of the stack's limit, which is mostly 2 MiB,
// and never more than maxTexts (fs/exec.c: three quarters of 8 MiB).
const (
	maxOrders = 1 << 20
	maxTexts  = 6 << 20
)

// Spec holds the orders for the re-exec child. Env may hold keys that "pass_env"
// names, so the file that carries a Spec is closed to the target's user (orders.go).
// Argv, Env and Dir may hold any bytes but NUL.
type Spec struct {
	Argv       []string        `json:"-"` // Argv[0] has a slash or is looked up in PATH
	Env        []string        `json:"-"`
	Dir        string          `json:"-"`
	Stay       bool            `json:"stay,omitempty"` // Dir is PID 1's, and the target's user need not be able to enter it
	Umask      int             `json:"umask"`
	Mask       int64           `json:"mask,omitempty"`       // blocked signals: bit n-1 is signal n; Start sets it
	Nofile     uint64          `json:"nofile,omitempty"`     // 0: as PID 1 got it
	FileSize   uint64          `json:"file_size,omitempty"`  // bytes that a file may have; 0: as PID 1 got it
	OOMAdj     int             `json:"oom_adj,omitempty"`    // 0: PID 1 has set it around the fork
	Foreground bool            `json:"foreground,omitempty"` // own the terminal on descriptor 0
	Confine    bool            `json:"confine,omitempty"`    // package confine's rule for the target
	Token      *Token          `json:"token,omitempty"`
	Life       bool            `json:"life,omitempty"`   // LifeFD is there
	Pass       int             `json:"pass,omitempty"`   // so many descriptors go to the target, from 3 on
	Listen     bool            `json:"listen,omitempty"` // the target gets LISTEN_FDS and LISTEN_PID (sd_listen_fds(3))
	Worker     json.RawMessage `json:"worker,omitempty"` // a proof.Job instead of Argv
}

// Token describes the token that the re-exec child gets on TokenFD.
type Token struct {
	Env string   `json:"env"` // the variable to put it into; a worker has none
	Sum [32]byte `json:"sum"` // SHA-256 of the token
}

// Step names the step at which a re-exec child failed. The set of steps is closed.
type Step string

// The steps.
const (
	StepSpec         Step = "spec"
	StepLimits       Step = "limits"
	StepDir          Step = "chdir"
	StepTokenFailed  Step = "token-failed"
	StepTokenChanged Step = "token-changed"
	StepTerminal     Step = "terminal"
	StepConfine      Step = "confine"
	StepExec         Step = "exec"
	StepDied         Step = "died" // never sent; the re-exec child ended without an answer
)

// Ready is the text that a re-exec child writes right before it executes the target.
const Ready = "."

// Found begins a worker's answer. A text follows, which another package reads.
const Found = "="

// Failure says why a target does not run. errors.Is matches its Errno.
type Failure struct {
	Step  Step
	Errno syscall.Errno // 0 where there is none
}

func (f *Failure) Error() string {
	if f.Errno == 0 {
		return string(f.Step)
	}
	return fmt.Sprintf("%s: %v", f.Step, f.Errno)
}

func (f *Failure) Unwrap() error {
	if f.Errno == 0 {
		return nil
	}
	return f.Errno
}

// Encode returns the line that goes over the pipe.
func (f *Failure) Encode() string { return fmt.Sprintf("%s %d\n", f.Step, int(f.Errno)) }

// maxReport bounds a re-exec child's answer, in bytes. The longest is a worker's, with the
// cookies of 64 listeners.
const maxReport = 2048

// parseReport parses the answer strictly, because the re-exec child runs as the
// target's UID, so a hostile process of that UID may have written it.
func parseReport(line string) *Failure {
	step, number, _ := strings.Cut(strings.TrimSuffix(line, "\n"), " ")
	errno, err := strconv.ParseUint(number, 10, 12)
	switch s := Step(step); s {
	case StepSpec, StepLimits, StepDir, StepTokenFailed, StepTokenChanged, StepTerminal, StepConfine, StepExec:
		if err == nil {
			return &Failure{s, syscall.Errno(errno)}
		}
	}
	return &Failure{Step: StepSpec}
}
