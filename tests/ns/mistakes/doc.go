// SPDX-License-Identifier: Apache-2.0

// Package mistakes makes each mistake that new users make, with the programs as they are
// built, and compares the first line of the answer word by word. The line says what is
// wrong, where, and what to type.
package mistakes
