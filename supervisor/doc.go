// SPDX-License-Identifier: Apache-2.0

// Package supervisor runs the loop of PID 1. One goroutine owns the state machine,
// reaps children, launches, proves and answers requests. Everything else sends values
// to it. Signals, request frames and the re-exec children's answers arrive over
// channels, and time over one timer.
//
// The loop (supervisor.go, loop.go) gives its input to six owners. Each has its own
// state and returns values. No owner can reach another one.
//
//   - gatewayUnit (unit.go): the phase, the process, the token's renewal (token.go).
//     stop.go, start.go and exits.go have what it does.
//   - prover (prover.go): the proof in progress (result.go), and what proofs say
//     (health.go).
//   - requests (requests.go): the requests that wait and the one in progress.
//   - sidecars (sidecars.go, sidecar.go): the processes beside the gateway, and those that
//     they leave behind (left.go).
//   - relay (relay.go): the process that serves the published port, and what it was told.
//   - shutdown (shutdown.go): the command, and the end of the container.
//
// The methods of Supervisor say what one owner's news means for the others: actions.go
// for the gateway and its proofs, serve.go and answers.go for requests, holders.go for
// sidecars, command.go for the end. docs/design.md, section 8, has the way of one restart
// through these files.
//
// Two pure tables decide: table.go, what an event does in a phase of the gateway, and
// request_table.go, what an outcome means for the request in progress. docs/design.md
// shows both, in sections 9 and 8. The phases join state and goal of a status record,
// because only eight of their combinations exist.
//
// The status record is read from the owners after each event, and written if it changed.
package supervisor
