// SPDX-License-Identifier: Apache-2.0

// Package sys wraps the raw system calls that neither os nor syscall offers in
// the form an init needs. Each wrapper retries EINTR, makes descriptors
// close-on-exec and returns an *os.SyscallError. Nothing here decides anything.
package sys

import (
	"os"

	"golang.org/x/sys/unix"
)

// retry calls f until it is not interrupted and names its error.
func retry(name string, f func() error) error {
	for {
		err := f()
		if err != unix.EINTR {
			return os.NewSyscallError(name, err)
		}
	}
}
