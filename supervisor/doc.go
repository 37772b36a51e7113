// Package supervisor is the loop of PID 1: one goroutine that owns the state
// machine, reaps, launches, proves and answers. Everything else sends it values:
// signals and frames over channels, the stages' answers over one more, time over
// one timer.
//
// The state machine is the pure table in table.go; docs/design.md, section 9, shows
// it. Its phases join state and goal of a status record, because only eight of
// their combinations exist.
//
// A proof is not a state. It is a run of its own (prove.go), and its outcome is an
// event or a health result. A request is not a state either (requests.go). It posts
// events, and it is answered when the machine gets where the request wanted it.
package supervisor
