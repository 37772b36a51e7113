// SPDX-License-Identifier: Apache-2.0

package sys

import "golang.org/x/sys/unix"

// Random fills b from getrandom(2), which waits until the kernel's pool is
// ready and then never fails for up to 256 bytes. crypto/rand would do the same
// and link a random generator of its own, with self-tests at every start.
func Random(b []byte) error {
	return retry("getrandom", func() error {
		n, err := unix.Getrandom(b, 0)
		if err == nil && n != len(b) {
			return unix.EIO
		}
		return err
	})
}
