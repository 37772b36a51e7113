// SPDX-License-Identifier: Apache-2.0

// Package plain runs gateway-init without /etc/gateway-init: as PID 1 of its own
// PID namespace, and beside other processes as a subreaper. The cases come from the
// documentation of tini and dumb-init.
package plain
