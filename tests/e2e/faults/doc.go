// SPDX-License-Identifier: Apache-2.0

// Package faults holds scenarios of hostile neighbors and poor surroundings
// that only an engine can make: limits, seccomp profiles, tmpfs options. Those
// that need no engine are in tests/ns/faults.
package faults
