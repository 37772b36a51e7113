// SPDX-License-Identifier: Apache-2.0

// Package neighbors holds the scenarios of hostile and unlucky neighbors: the
// agent beside the gateway, another container in the same PID namespace, the
// clock, and a gateway that crashes without end.
package neighbors
