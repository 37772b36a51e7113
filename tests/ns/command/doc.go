// SPDX-License-Identifier: Apache-2.0

// Package command checks, in every case, how the container's exit code follows from
// its command. An engine reports the exit code of PID 1. tests/e2e/continuity
// checks a few of the cases with an engine.
package command
