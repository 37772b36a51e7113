// SPDX-License-Identifier: Apache-2.0

//go:build cgo

package main

// A build with cgo must fail. In such a program a system call cannot be made in all
// threads (syscall.AllThreadsSyscall), so PID 1 would keep every capability that the
// engine gave it.
var _ = build_gateway_init_with_CGO_ENABLED_0
