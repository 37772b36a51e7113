// Package supervisor is the loop of PID 1: one goroutine that owns the machine,
// reaps, launches, proves and answers. Everything else sends it values: signals
// and frames over channels, the stages' answers over one more, time over one
// timer.
//
// The machine is the pure table in table.go. Its phases join state and goal of
// DESIGN section 9, because only eight of their combinations exist. What each
// event leads to (event→phase/action; an event that is not named changes
// nothing or cannot happen):
//
//	starting   restart→restarting/halt stop→halting/halt exit→ending/halt swept→starting/launch
//	           launched→starting/prove failed→waiting/wait proven→running/settle
//	           died→waiting/wait
//	running    restart→restarting/halt stop→halting/halt exit→ending/halt died→waiting/wait
//	restarting stop→halting/hasten exit→ending/hasten swept→starting/launch
//	           failed→restarting/sweep died→restarting/sweep grace-over→restarting/kill
//	halting    start→restarting restart→restarting exit→ending/hasten swept→stopped/rest
//	           failed→halting/sweep died→halting/sweep grace-over→halting/kill
//	ending     swept→ended/rest failed→ending/sweep died→ending/sweep grace-over→ending/kill
//	waiting    start→starting/sweep restart→starting/sweep stop→halting/halt exit→ending/halt
//	           retry→starting/sweep
//	stopped    start→starting/sweep restart→starting/sweep stop→stopped/rest exit→ending/halt
//	ended      (nothing more)
//
// A proof is not a state: it is a run of its own (prove.go) whose outcome is an
// event or a health result. A request is not a state either (desk.go): it posts
// events and is answered when the machine gets where the request wanted it.
package supervisor
