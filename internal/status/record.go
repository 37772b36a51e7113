// SPDX-License-Identifier: Apache-2.0

// Package status defines the status record, which PID 1 writes about itself and its
// gateway into status.json. It also reads the record back without trusting more
// than a reader has to.
//
// The record is a claim of PID 1. It lives in a root-owned directory as a
// root-owned 0600 file, so only root can have written it; a reader still
// checks the parts that the kernel can confirm (process, start time, listener)
// before it prints them. No field carries the token or anything derived from it.
package status

import (
	"time"

	"github.com/gateway-init/gateway-init/internal/procfs"
	"github.com/gateway-init/gateway-init/internal/reason"
)

// Schema is the version of Record. A reader refuses any other number.
const Schema = 1

// Name is the record's file name under the runtime directory.
const Name = "status.json"

// States of the gateway, as in docs/design.md, section 9.
const (
	Starting = "starting"
	Running  = "running"
	Stopping = "stopping"
	Backoff  = "backoff"
	Stopped  = "stopped"
)

// Goals of the supervisor.
const (
	GoalRun  = "run"
	GoalStop = "stop"
	GoalExit = "exit"
)

// Values of Health.State. Unknown does not mean down, and nothing acts on it.
const (
	Serving    = "serving"
	NotServing = "not-serving"
	Unknown    = "unknown"
)

// Values of each signal in Proof.
const (
	Held         = "held"
	Failed       = "failed"
	NotAvailable = "not-available"
)

// The ways in which the agent is kept from the gateway.
const (
	SeparationUID  = "uid"
	SeparationNone = "none" // gateway-init is not root: all are one user
)

// Record is status.json. Times are wall clock, for people; every decision in
// PID 1 uses the monotonic clock.
type Record struct {
	Schema     int       `json:"schema"`
	Version    string    `json:"version"`
	UpdatedAt  time.Time `json:"updated_at"`
	Init       Process   `json:"init"`
	StartedAt  time.Time `json:"started_at"`
	RuntimeDir string    `json:"runtime_dir"`
	LogFiles   bool      `json:"log_files,omitempty"` // the command owns the terminal, so logs are in RuntimeDir

	State   string        `json:"state"`
	Goal    string        `json:"goal"`
	Since   time.Time     `json:"since"`
	Reason  reason.Reason `json:"reason,omitempty"` // why the gateway does not serve
	Detail  string        `json:"detail,omitempty"` // one line for a person
	Gateway Gateway       `json:"gateway"`
	Publish *Publish      `json:"publish,omitempty"` // the published port, if one is configured
	Health  Health        `json:"health"`
	Proof   Proof         `json:"proof"`

	Restarts int      `json:"restarts"` // requested ones that were proven
	Crashes  int      `json:"crashes"`  // counted exits since PID 1 started
	Starts   Starts   `json:"starts"`
	LastExit *Exit    `json:"last_exit,omitempty"`
	Backoff  *Waiting `json:"backoff,omitempty"`

	Request     *Request     `json:"request,omitempty"` // the one in progress
	Queued      int          `json:"queued"`
	LastRequest *LastRequest `json:"last_request,omitempty"`
	Refused     Refused      `json:"refused"`

	Command  *Child  `json:"command,omitempty"`
	Sidecars []Child `json:"sidecars,omitempty"`

	Token      Token       `json:"token"`
	Separation string      `json:"separation"` // SeparationUID or SeparationNone
	Caps       Caps        `json:"capabilities"`
	Hardening  []Hardening `json:"hardening"` // protections that the container was started without
}

// Process names a process so that a recycled pid cannot be mistaken for it.
type Process = procfs.ID

// Gateway is the child that serves; PID is 0 when there is none.
type Gateway struct {
	Process
	UID        uint32     `json:"uid"`
	GID        uint32     `json:"gid"`
	Port       uint16     `json:"port"`
	RandomPort bool       `json:"random_port,omitempty"` // each start has another port
	StartedAt  *time.Time `json:"started_at,omitempty"`
	ProvenAt   *time.Time `json:"proven_at,omitempty"`
	ReadyBy    *time.Time `json:"ready_by,omitempty"`   // while it starts: when ready.timeout is over
	GiveUpAt   *time.Time `json:"give_up_at,omitempty"` // while it starts: when it is replaced if it definitely does not serve
	Enabled    bool       `json:"enabled"`              // false with --no-gateway
}

// Starts counts the processes of the gateway since PID 1 started, by how the one before
// ended.
type Starts struct {
	First        int `json:"first"`        // there was none before: 1, or 0 before the first start
	Requested    int `json:"requested"`    // a request ended it
	Exited       int `json:"exited"`       // it ended by itself, or another process ended it
	Unresponsive int `json:"unresponsive"` // PID 1 replaced it, because it did not serve
	Controller   int `json:"controller"`   // root's gatewayctl ended it from outside
	Failed       int `json:"failed"`       // its program was not executed
}

// Health is a field, not a state: "not-serving 2/4" is Failures 2, Limit 4.
type Health struct {
	State    string     `json:"state"`
	Failures int        `json:"failures"` // definite ones in a row
	Limit    int        `json:"limit"`
	Failed   int        `json:"failed"` // definite ones since PID 1 started
	At       *time.Time `json:"at,omitempty"`
	Detail   string     `json:"detail,omitempty"`
}

// Proof lists the signals of the last proof; each is held, failed or
// not-available.
type Proof struct {
	Child    string     `json:"child"`
	Listener string     `json:"listener"`
	Ready    string     `json:"ready"`
	Auth     string     `json:"auth"`
	At       *time.Time `json:"at,omitempty"`
	Foreign  []Listener `json:"foreign,omitempty"` // sockets on our port that are not the gateway's
}

// Listener is a LISTEN socket as the kernel reports it.
type Listener struct {
	Addr  string `json:"addr"` // "127.0.0.1:18789", "[::1]:18789"
	UID   uint32 `json:"uid"`
	Inode uint64 `json:"inode"`
}

// Exit describes how the last gateway ended. Exactly one of Code and Signal counts.
// Signal is the number of the signal that killed the process, or 0.
type Exit struct {
	PID       int       `json:"pid"`
	Code      int       `json:"code"`
	Signal    int       `json:"signal,omitempty"`
	Text      string    `json:"text,omitempty"` // meaning of the code in the configuration
	At        time.Time `json:"at"`
	Requested bool      `json:"requested"` // we asked for it
	Failure   bool      `json:"failure"`   // it counted as a failure, and made the backoff longer
	Proven    bool      `json:"proven"`    // it had served
}

// Waiting is a backoff in progress.
type Waiting struct {
	Until   time.Time `json:"until"`
	DelayMS int64     `json:"delay_ms"`
	Streak  int       `json:"streak"` // counted exits in a row
}

// Request is the request in progress. Stage is accepted, stopping, starting
// or proving. Nonce holds its first 8 digits. Until is set while the old gateway is
// being stopped, and is the time at which that is killed.
type Request struct {
	Nonce  string     `json:"nonce"`
	Action string     `json:"action"`
	Stage  string     `json:"stage"`
	Since  time.Time  `json:"since"`
	Until  *time.Time `json:"until,omitempty"`
}

// LastRequest is the last request that was answered.
type LastRequest struct {
	Nonce  string    `json:"nonce"`
	Action string    `json:"action"`
	Result string    `json:"result"` // the reply after the nonce, e.g. "complete ok 12 34"
	At     time.Time `json:"at"`
}

// Refused counts frames that caused nothing.
type Refused struct {
	Malformed     int `json:"malformed"`
	Replayed      int `json:"replayed"`
	UnknownAction int `json:"unknown_action"`
	QueueFull     int `json:"queue_full"`
}

// Child is the container's command or a sidecar. State is waiting, running,
// backoff, stopped, done (it succeeded and is not started again before the
// gateway is) or failed (cannot be started; Detail says why).
type Child struct {
	Name     string `json:"name"`
	State    string `json:"state"`
	PID      int    `json:"pid"`
	UID      uint32 `json:"uid"`
	Restarts int    `json:"restarts"`
	Detail   string `json:"detail,omitempty"`
	Pending  string `json:"pending,omitempty"` // of a sidecar that does not run, or a one-shot that is not done

	StartedAt *time.Time `json:"started_at,omitempty"` // of the process that runs
}

// Token identifies the token file; its content is nowhere in the record.
type Token struct {
	Path       string    `json:"path"`
	UID        uint32    `json:"uid"`
	GID        uint32    `json:"gid"`
	Mode       string    `json:"mode"` // "0400"
	Dev        uint64    `json:"dev"`
	Inode      uint64    `json:"inode"`
	MintedAt   time.Time `json:"minted_at"`
	Generation int       `json:"generation"` // 1 at boot, one more at each rotation
}

// Caps holds the sets that PID 1 read back from the kernel after it dropped
// privileges. Each is the union over all of its threads, as in /proc/PID/status
// (16 hex digits).
type Caps struct {
	Inheritable string `json:"inheritable"`
	Permitted   string `json:"permitted"`
	Effective   string `json:"effective"`
	Bounding    string `json:"bounding"`
	Ambient     string `json:"ambient"`
	NoNewPrivs  bool   `json:"no_new_privs"`
	Dumpable    bool   `json:"dumpable"`
	Threads     int    `json:"threads"` // how many threads were read
}
