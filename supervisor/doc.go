// SPDX-License-Identifier: Apache-2.0

// Package supervisor runs the loop of PID 1. One goroutine owns the state machine,
// reaps children, launches, proves and answers requests. Everything else sends values
// to it. Signals, request frames and the re-exec children's answers arrive over
// channels, and time over one timer.
//
// The state machine is the pure table in table.go; docs/design.md, section 9, shows
// it. Its phases join state and goal of a status record, because only eight of
// their combinations exist.
//
// A proof is not a state. It is a separate run (prove.go), and its outcome is an
// event or a health result. A request is not a state either (requests.go). It posts
// events, and it is answered when the state machine reaches the phase that the
// request wanted.
package supervisor
