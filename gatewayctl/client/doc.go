// SPDX-License-Identifier: Apache-2.0

// Package client runs one program that needs the gateway's token (a terminal UI,
// a command line of the gateway's vendor) for the length of one gatewayctl call.
// The program runs as the operator's user, never as the gateway's, with the
// token in its environment and nowhere else.
//
// Plan decides and has no effect. Run drops all rights that it can, makes a
// home, forks, and then relays bytes, sizes and signals until the client has
// ended. The client has no descriptor of the caller, but a terminal of its own,
// or pipes. With a shared file description it could switch the caller's to
// O_NONBLOCK, read input that was typed for another program, or push input into
// a terminal where a root shell reads next (TIOCSTI; gosu #37).
//
// Nothing of a client outlives it. The processes that it leaves running are
// killed, so that the token ends with the call. If gatewayctl itself is killed,
// the client gets SIGKILL as its parent dies. The other processes that the
// client had started are then hung up with its terminal, but not killed.
//
// A client with the token lives only as long as the gateway that it was given
// the token for (Grant). When that process ends, the client and all it started
// get SIGKILL at once, because another process may have the port from then on.
//
// docs/clients.md lists the protections and their limits.
package client
