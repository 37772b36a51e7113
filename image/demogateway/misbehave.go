// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"time"
)

// Values of misbehaviour.TokenMode.
const (
	tokenNone  = "none"  // everything is accepted
	tokenOther = "other" // another token wins, as a gateway's own config can make it
)

// Values of misbehaviour.GivePort: the answer before which it is given away.
const (
	givePortReady   = "ready"   // to GET /readyz
	givePortRefusal = "refusal" // 401
)

// Values of misbehaviour.Accept.
const (
	acceptHang = "hang"
	acceptDrop = "drop"
)

// Values of misbehaviour.Answer.
const (
	answerPage    = "page"    // 200 and a page, for any path
	answerEndless = "endless" // a body that never ends
	answerDrip    = "drip"    // a byte a second
	answerGarbage = "garbage" // not HTTP
	answerHeaders = "headers" // a header that never ends
)

// misbehaviour is everything that can be switched; its zero value is a good
// gateway.
type misbehaviour struct {
	// At the start only.
	NoteLives   bool     `json:"note_lives"`   // append "CLOCK_BOOTTIME PID TOKEN" to /var/lib/gateway/lives
	Neighbours  bool     `json:"neighbours"`   // say first which other processes of our uid there are
	Listen      string   `json:"listen"`       // addresses, separated by commas
	StartExit   *int     `json:"start_exit"`   // exit at once with this code
	ListenAfter duration `json:"listen_after"` // slow start: no listener until then
	ReadyAfter  duration `json:"ready_after"`  // slow start: /readyz answers 503 until then

	// While it runs.
	ExhaustOnHup bool `json:"exhaust_on_hup"` // SIGHUP makes it take memory until the kernel ends it

	// At the end.
	ExitCode   int      `json:"exit_code"`   // after SIGTERM
	IgnoreTerm bool     `json:"ignore_term"` // SIGTERM does nothing
	Drain      duration `json:"drain"`       // serve on for so long after SIGTERM, but for /readyz
	DrainNeeds string   `json:"drain_needs"` // an address: exit 9 if nobody listens there when that is over

	// Answers.
	Accept      string   `json:"accept"`        // "hang" or "drop"
	Answer      string   `json:"answer"`        // see the constants
	Status      int      `json:"status"`        // this status for every request
	NotReady    bool     `json:"not_ready"`     // 503 from /readyz
	After       int      `json:"after"`         // accept, answer and status spare so many requests first
	FailNext    int      `json:"fail_next"`     // 503 for so many requests of /health and /readyz
	Delay       duration `json:"delay"`         // before every answer
	NoKeepAlive bool     `json:"no_keep_alive"` // close each connection after one answer
	TokenMode   string   `json:"token_mode"`    // "none" or "other"
	GivePort    string   `json:"give_port"`     // see giveport.go
	GiveAndEnd  bool     `json:"give_and_end"`  // and end with exit_code right after that answer

	// Deeds; done at the start, and once for each POST that has them.
	DeafAfter  *duration `json:"deaf_after"`  // close every listener, live on
	ExitAfter  *duration `json:"exit_after"`  // end with exit_code, unasked
	Detach     bool      `json:"detach"`      // a child in its own session takes the listeners; exit 0
	Zombies    int       `json:"zombies"`     // children that are never waited for
	Helper     bool      `json:"helper"`      // a child in its own session that ignores SIGTERM
	Child      string    `json:"child"`       // this program, with our whole environment, as gateways start git; it gets "sleep 3600"
	HoldStdout bool      `json:"hold_stdout"` // a grandchild in its own session that keeps stdout open
	Comm       string    `json:"comm"`        // new name in /proc/PID/comm
	Cmdline    string    `json:"cmdline"`     // new text in /proc/PID/cmdline, cut to the room there is
}

// duration is written as "1.5s".
type duration time.Duration

func (d *duration) UnmarshalJSON(data []byte) error {
	var text string
	if err := json.Unmarshal(data, &text); err != nil {
		return err
	}
	v, err := time.ParseDuration(text)
	if err == nil && v < 0 {
		err = fmt.Errorf("negative duration %q", text)
	}
	*d = duration(v)
	return err
}

// merge puts data over what m holds; members that data lacks stay.
func (m *misbehaviour) merge(data []byte) error {
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	next := *m
	if err := d.Decode(&next); err != nil {
		return err
	}
	if err := next.validate(); err != nil {
		return err
	}
	*m = next
	return nil
}

func (m *misbehaviour) validate() error {
	for _, v := range []struct{ key, value, allowed string }{
		{"accept", m.Accept, " hang drop "},
		{"answer", m.Answer, " page endless drip garbage headers "},
		{"token_mode", m.TokenMode, " none other "},
		{"give_port", m.GivePort, " ready refusal "},
	} {
		if v.value != "" && !bytes.Contains([]byte(v.allowed), []byte(" "+v.value+" ")) {
			return fmt.Errorf("%s: %q is none of%s", v.key, v.value, v.allowed)
		}
	}
	return nil
}

// clearDeeds forgets what is to be done once.
func (m *misbehaviour) clearDeeds() {
	m.DeafAfter, m.ExitAfter, m.Detach, m.Zombies, m.Helper, m.Child, m.HoldStdout, m.Comm, m.Cmdline =
		nil, nil, false, 0, false, "", false, "", ""
}
