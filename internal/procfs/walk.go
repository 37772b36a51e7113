// SPDX-License-Identifier: Apache-2.0

package procfs

import (
	"fmt"
	"io"
	"strconv"
)

// perRead is the number of names of a directory that are read at a time.
const perRead = 512

// Scan calls f with every process that is there during the whole call, and maybe
// with some that were not. It stops at f's first error. More than limit processes
// are an error, too.
func Scan(limit int, f func(pid int) error) error {
	root, err := openRoot()
	if err != nil {
		return err
	}
	defer root.Close()
	for seen := 0; ; {
		names, err := root.Readdirnames(perRead)
		for _, name := range names {
			n, err := strconv.ParseUint(name, 10, 31)
			if err != nil {
				continue
			}
			if seen++; seen > limit {
				return fmt.Errorf("%w: %s has more than %d", errBound, root.Name(), limit)
			}
			if err := f(int(n)); err != nil {
				return err
			}
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return whether(err)
		}
	}
}
