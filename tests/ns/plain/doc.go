// SPDX-License-Identifier: Apache-2.0

// Package plain runs gateway-init where there is no /etc/gateway-init: as PID 1
// of a PID namespace of its own, and beside other processes as a subreaper. The
// cases are what tini's and dumb-init's documentation promises.
package plain
