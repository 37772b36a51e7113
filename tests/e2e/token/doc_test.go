// SPDX-License-Identifier: Apache-2.0

// Package token tests the scenarios of the token (T): where it is and is not, and how
// it is read, refused and replaced.
package token
