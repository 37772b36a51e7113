// SPDX-License-Identifier: Apache-2.0

// Package faults holds scenarios of hostile neighbors and broken surroundings that
// need no engine: signals, closed and blocked descriptors, a runtime directory of
// an earlier run, the shutdown in every state.
package faults
