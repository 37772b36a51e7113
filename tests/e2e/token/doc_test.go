// SPDX-License-Identifier: Apache-2.0

// Package token holds the scenarios of the token (T): where it is, where it is
// not, how it is read, refused and replaced.
package token
