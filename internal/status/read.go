// SPDX-License-Identifier: Apache-2.0

package status

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"

	"golang.org/x/sys/unix"

	"github.com/gateway-init/gateway-init/internal/fsafe"
)

// maxSize bounds status.json in bytes, for writer and reader.
const maxSize = 64 << 10

// Refusals of Decode and Read. ErrSchema is not an errInvalid, because the file may
// be right and only this program too old or too new for it.
var (
	errInvalid = errors.New("invalid status record")
	ErrSchema  = errors.New("status record of another version")
)

// Read reads the record from dir, the open runtime directory, and demands a file
// that only uid, the supervisor's user, can have written. dir stays the caller's.
// Errors match fs.ErrNotExist, fsafe.ErrUnsafe, fsafe.ErrTooLarge, ErrSchema or
// errInvalid.
func Read(dir *os.File, uid uint32) (Record, error) {
	err := errReplaced
	for range rereads {
		var r Record
		if r, err = readOnce(dir, uid); !errors.Is(err, errReplaced) && !errors.Is(err, errInvalid) {
			return r, err
		}
	}
	return Record{}, err
}

// rereads bounds the attempts of Read. The record is replaced at each change, so an
// inode may lose its last link between open and fstat. That is no attack, and the
// next open finds the new record. On a full file system it may also be written while it
// is read (fsafe.Reserved), and is invalid then.
const rereads = 100

var errReplaced = errors.New("status record is replaced faster than it can be read")

func readOnce(dir *os.File, uid uint32) (Record, error) {
	f, err := fsafe.OpenAt(dir, Name, unix.O_RDONLY)
	if err != nil {
		return Record{}, err
	}
	defer f.Close()
	want := fsafe.Want{Type: fsafe.Regular, UID: fsafe.ID(uid), Mode: fsafe.Mode(0o600)}
	info, err := fsafe.Verify(f, want)
	switch {
	case err != nil:
		return Record{}, err
	case info.Links == 0:
		return Record{}, errReplaced
	case info.Links > 1:
		return Record{}, &fsafe.UnsafeError{UnsafePath: f.Name(), Problem: fmt.Sprintf("has %d links, not 1", info.Links)}
	}
	data, err := fsafe.ReadAll(f, maxSize)
	if err != nil {
		return Record{}, err
	}
	return Decode(data)
}

// Encode returns r as one line of JSON with its newline. Decode accepts the result.
// A record that breaks the rules is errInvalid.
func Encode(r Record) ([]byte, error) {
	if err := r.validate(); err != nil {
		return nil, err
	}
	data, err := json.Marshal(r)
	if err != nil {
		return nil, fmt.Errorf("%w: %v", errInvalid, err)
	}
	if len(data)+1 > maxSize {
		return nil, fmt.Errorf("%w: %d bytes, limit %d", errInvalid, len(data)+1, maxSize)
	}
	return append(data, '\n'), nil
}

// Decode parses a record. Unknown members are ignored, because within one schema
// members are only ever added. Another schema is ErrSchema, whatever else the
// text holds; a value outside its closed set is errInvalid.
func Decode(data []byte) (Record, error) {
	if len(data) > maxSize {
		return Record{}, fmt.Errorf("%w: %d bytes, limit %d", errInvalid, len(data), maxSize)
	}
	var head struct {
		Schema  int    `json:"schema"`
		Version string `json:"version"`
	}
	if err := json.Unmarshal(data, &head); err != nil {
		return Record{}, fmt.Errorf("%w: %v", errInvalid, err)
	}
	if head.Schema != Schema {
		return Record{}, fmt.Errorf("%w: gateway-init %.32q writes schema %d, this program reads schema %d",
			ErrSchema, head.Version, head.Schema, Schema)
	}
	var r Record
	if err := json.Unmarshal(data, &r); err != nil {
		return Record{}, fmt.Errorf("%w: %v", errInvalid, err)
	}
	if err := r.validate(); err != nil {
		return Record{}, err
	}
	return r, nil
}

// The closed sets. An empty word stands for "not yet" where it is listed.
var (
	states      = []string{Starting, Running, Stopping, Backoff, Stopped}
	goals       = []string{GoalRun, GoalStop, GoalExit}
	healths     = []string{Serving, NotServing, Unknown}
	signals     = []string{Held, Failed, NotAvailable, ""}
	stages      = []string{"accepted", "stopping", "starting", "proving"}
	childStates = []string{"waiting", "running", "backoff", "stopped", "done", "failed"}
	separations = []string{SeparationUID, SeparationNone}
)

// States, Goals, Healths, Results and ChildStates return the closed sets, for a reader that
// shows each word.
func States() []string      { return slices.Clone(states) }
func Goals() []string       { return slices.Clone(goals) }
func Healths() []string     { return slices.Clone(healths) }
func Results() []string     { return []string{Held, Failed, NotAvailable} } // of a signal or a check
func ChildStates() []string { return slices.Clone(childStates) }

// validate refuses values that no supervisor writes, so that a reader can rely on
// them.
func (r *Record) validate() error {
	if r.Schema != Schema {
		return fmt.Errorf("%w: schema %d", errInvalid, r.Schema)
	}
	type word struct {
		key, value string
		set        []string
	}
	words := []word{
		{"state", r.State, states}, {"goal", r.Goal, goals}, {"health.state", r.Health.State, healths},
		{"proof.child", r.Proof.Child, signals}, {"proof.listener", r.Proof.Listener, signals},
		{"proof.ready", r.Proof.Ready, signals}, {"proof.auth", r.Proof.Auth, signals},
		{"separation", r.Separation, separations},
	}
	type number struct {
		key   string
		value int
	}
	numbers := []number{
		{"gateway.pid", r.Gateway.PID}, {"restarts", r.Restarts}, {"crashes", r.Crashes}, {"queued", r.Queued},
		{"health.failures", r.Health.Failures}, {"health.limit", r.Health.Limit}, {"health.failed", r.Health.Failed},
		{"token.generation", r.Token.Generation},
		{"starts.first", r.Starts.First}, {"starts.requested", r.Starts.Requested}, {"starts.exited", r.Starts.Exited},
		{"starts.unresponsive", r.Starts.Unresponsive}, {"starts.controller", r.Starts.Controller}, {"starts.failed", r.Starts.Failed},
		{"refused.malformed", r.Refused.Malformed}, {"refused.replayed", r.Refused.Replayed},
		{"refused.unknown_action", r.Refused.UnknownAction}, {"refused.queue_full", r.Refused.QueueFull},
	}
	if r.Request != nil {
		words = append(words, word{"request.stage", r.Request.Stage, stages})
	}
	if r.LastExit != nil {
		numbers = append(numbers, number{"last_exit.pid", r.LastExit.PID}, number{"last_exit.signal", r.LastExit.Signal})
	}
	children := r.Sidecars
	if r.Command != nil {
		children = append(slices.Clone(children), *r.Command)
	}
	if r.Publish != nil && r.Publish.Relay != nil {
		children = append(slices.Clone(children), *r.Publish.Relay)
	}
	for _, c := range children {
		words = append(words, word{"child state", c.State, childStates})
		numbers = append(numbers, number{"child pid", c.PID}, number{"child restarts", c.Restarts})
	}
	for _, w := range words {
		if !slices.Contains(w.set, w.value) {
			return fmt.Errorf("%w: %s is %.32q", errInvalid, w.key, w.value)
		}
	}
	for _, n := range numbers {
		if n.value < 0 {
			return fmt.Errorf("%w: %s is %d", errInvalid, n.key, n.value)
		}
	}
	if r.Init.PID < 1 {
		return fmt.Errorf("%w: init.pid is %d", errInvalid, r.Init.PID)
	}
	return nil
}
