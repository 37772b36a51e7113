// SPDX-License-Identifier: Apache-2.0

// Package neighbors tests the gateway beside a hostile agent, another container in the
// same PID namespace and changes of the clock, and a gateway that crashes again and
// again.
package neighbors
