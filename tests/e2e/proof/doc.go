// SPDX-License-Identifier: Apache-2.0

// Package proof holds the scenarios of what may be said about a gateway: which
// process it is, whether it serves, and whose the port is.
package proof
