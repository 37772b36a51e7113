// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"io"
	"strconv"
	"time"

	"github.com/gateway-init/gateway-init/internal/logring"
	"github.com/gateway-init/gateway-init/internal/relaycount"
)

// Names of log events; docs/logging.md lists them.
const (
	evReady   = "relay-ready"
	evRefused = "client-refused"
	evMissing = "relay-unconfined"
)

// field is a member of a log line. Its value is a string or a number.
type field struct {
	key   string
	value any
}

// log writes lines like those of PID 1. It never waits for their reader. It is for one
// goroutine.
type log struct {
	ring *logring.Ring
	text bool

	next    time.Time // when the next refusal may be written
	skipped int       // refusals since the last line
}

func newLog(w io.Writer, format string) *log {
	return &log{ring: logring.New(w), text: format == "text"}
}

// write writes one line. No field has text that another process made.
func (l *log) write(level, event string, fields ...field) {
	all := append([]field{
		{"time", time.Now().UTC().Format(logring.TimeFormat)}, {"level", level}, {"origin", "relay"}, {"event", event},
	}, fields...)
	line := make([]byte, 0, 256)
	for _, f := range all {
		value, err := json.Marshal(f.value)
		if err != nil {
			continue
		}
		if text, isText := f.value.(string); l.text && isText && isPlain(text) {
			value = []byte(text)
		}
		if l.text {
			line = append(append(append(append(line, ' '), f.key...), '='), value...)
		} else {
			line = append(append(strconv.AppendQuote(append(line, ','), f.key), ':'), value...)
		}
	}
	line = line[1:] // the first separator
	if !l.text {
		line = append(append([]byte{'{'}, line...), '}')
	}
	l.ring.Write(append(line, '\n'))
}

// isPlain reports whether a value needs no quotes in a line of text.
func isPlain(s string) bool {
	for _, r := range s {
		if r <= ' ' || r == '"' || r == '=' || r >= 0x7f {
			return false
		}
	}
	return s != ""
}

// Refused writes at most one line a second. The counters have every refusal.
func (l *log) Refused(r relaycount.Reason, uid uint32) {
	now := time.Now()
	if now.Before(l.next) {
		l.skipped++
		return
	}
	fields := []field{{"reason", r.String()}}
	if r == relaycount.Foreign {
		fields = append(fields, field{"uid", uid})
	}
	if l.skipped > 0 {
		fields = append(fields, field{"skipped", l.skipped})
	}
	l.next, l.skipped = now.Add(time.Second), 0
	l.write("warn", evRefused, fields...)
}
