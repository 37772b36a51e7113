// SPDX-License-Identifier: Apache-2.0

// Package supervisor runs the loop of PID 1. One goroutine owns the state machine,
// reaps children, launches, proves and answers requests. Everything else sends values
// to it. Signals, request frames and the re-exec children's answers arrive over
// channels, and time over one timer.
//
// The loop (supervisor.go) hands events to five owners, each with its own state:
//
//   - gatewayUnit (unit.go): the phase, the process, starts, stops, the backoff, the
//     token's renewal. start.go and gateway.go have what it does.
//   - prover (prove.go): the proof in progress, and what proofs say (health.go).
//   - requests (requests.go): the requests that wait and the one in progress. serve.go
//     connects them with the gateway.
//   - sidecars (sidecars.go): the processes beside the gateway.
//   - shutdown (shutdown.go): the command, and the end of the container.
//
// Two pure tables decide: table.go, what an event does in a phase of the gateway, and
// request_table.go, what an outcome means for the request in progress. docs/design.md
// shows both, in sections 9 and 8. The phases join state and goal of a status record,
// because only eight of their combinations exist.
//
// The status record is read from the owners after each event, and written if it changed.
package supervisor
