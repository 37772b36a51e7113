// Package client runs one program that needs the gateway's token (a terminal
// UI, a command line of the gateway's vendor) for the length of one gatewayctl:
// as the operator's user, never the gateway's, with the token in its
// environment and nowhere else.
//
// Plan decides and has no effect; Run drops what rights it can, makes a home,
// forks, and then relays bytes, sizes and signals until the client has ended.
// The client has no descriptor of the caller: a terminal of its own, or pipes.
// A shared file description would let it switch the caller's to O_NONBLOCK,
// read what was typed for somebody else, or push input into a terminal where a
// root shell reads next (TIOCSTI; gosu #37).
//
// Nothing of a client outlives it: what it leaves running is killed, so that the
// token ends with the call. If gatewayctl itself is killed, the client gets
// SIGKILL as its parent dies; what the client had started besides is then hung
// up with its terminal, but not killed.
//
// A client with the token lives only as long as the gateway that it was given
// the token for (Grant): when that process ends, the client and all it started
// get SIGKILL at once, because the port may be another's from then on.
//
// docs/clients.md says what all this protects and what it does not.
package client
