// SPDX-License-Identifier: Apache-2.0

//go:build cgo

package main

// linksCgo reports whether the program may link cgo. In such a program a system call
// cannot be made in all threads (syscall.AllThreadsSyscall), so PID 1 would keep every
// capability that the engine gave it.
const linksCgo = true
