// SPDX-License-Identifier: Apache-2.0

// Package neighbours holds the scenarios of hostile and unlucky neighbours: the
// agent beside the gateway, another container in the same PID namespace, the
// clock, and a gateway that crashes without end.
package neighbours
