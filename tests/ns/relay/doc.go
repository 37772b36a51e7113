// SPDX-License-Identifier: Apache-2.0

// Package relay runs the built bin/gateway-relay in a network namespace of its own, with
// a gateway, an agent and clients of different users. The test is PID 1.
package relay
