// SPDX-License-Identifier: Apache-2.0

package sweep

import (
	"bytes"
	"io"
	"os"
	"strconv"
)

// Bounds. A value that is longer than any token is no token. An exec passes on at
// most 6 MiB (execve(2)). A process can make the kernel show far more
// (PR_SET_MM_MAP) to a reader that reads to the end.
const (
	maxValue   = 256
	maxEnviron = 8 << 20
)

// hasToken reports whether pid was executed with one of our tokens. It returns
// false if there is no answer (a zombie, a process that is not dumpable).
func (d *ByAncestry) hasToken(pid int) bool {
	f, err := os.Open("/proc/" + strconv.Itoa(pid) + "/environ")
	if err != nil {
		return false
	}
	defer f.Close()
	return d.tokenIn(f)
}

func (d *ByAncestry) tokenIn(environ io.Reader) bool {
	buf := make([]byte, 4<<10)
	entry := make([]byte, 0, len(d.tokenEnv)+1+maxValue+1) // one byte more shows that it is longer
	defer func() {                                         // they may have held the token
		clear(buf)
		clear(entry[:cap(entry)])
	}()
	for left := maxEnviron; left > 0; {
		n, err := environ.Read(buf)
		left -= n
		for rest := buf[:max(n, 0)]; len(rest) > 0; {
			part, after, ended := bytes.Cut(rest, []byte{0})
			entry = append(entry, part[:min(len(part), cap(entry)-len(entry))]...)
			if ended && d.isToken(entry) {
				return true
			}
			if ended {
				entry = entry[:0]
			}
			rest = after
		}
		if n <= 0 || err != nil {
			return d.isToken(entry) // an entry without a NUL at its end
		}
	}
	return false
}

func (d *ByAncestry) isToken(entry []byte) bool {
	name, value, found := bytes.Cut(entry, []byte{'='})
	return found && string(name) == d.tokenEnv && len(value) <= maxValue && d.ours(value)
}
