// SPDX-License-Identifier: Apache-2.0

// Package command holds what the container's exit code says about its command, in
// every case. An engine reports the exit code of PID 1; tests/e2e/continuity holds
// a few of the cases against that.
package command
