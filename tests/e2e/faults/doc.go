// SPDX-License-Identifier: Apache-2.0

// Package faults tests hostile processes and unusual environments that need an
// engine: limits, seccomp profiles, tmpfs options. tests/ns/faults has those that
// need none.
package faults
