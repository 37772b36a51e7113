// SPDX-License-Identifier: Apache-2.0

// Package publish tests the published port: who holds it, who can take it, and which
// process its clients reach.
package publish
