// SPDX-License-Identifier: Apache-2.0

// Package proof holds the scenarios of statements about a gateway: which process it
// is, whether it serves, and which process owns the port.
package proof
