// SPDX-License-Identifier: Apache-2.0

package sys

import (
	"runtime/debug"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// Trimmer gives back memory that has no use while nothing happens.
type Trimmer struct {
	calls   int
	program []mapping
}

// collectEvery is the number of calls of Trim for one collection, which takes half of
// the time of a health check. Between two of them a health check leaves some 40 KiB.
const collectEvery = 5

// Trim gives back the pages of our own program, and at every fifth call the unneeded
// heap. The pages are in the page cache; the next use maps them again in a few
// microseconds for 64 KiB. Boot, the parser of the configuration and the like are never
// used again. Errors change nothing.
func (t *Trimmer) Trim() {
	if t.program == nil {
		t.program = programMappings()
	}
	if t.calls++; t.calls%collectEvery == 0 {
		debug.FreeOSMemory()
	}
	for _, m := range t.program {
		unix.Syscall(unix.SYS_MADVISE, m.start, m.length, unix.MADV_DONTNEED)
	}
}

type mapping struct{ start, length uintptr }

// programMappings returns the parts of /proc/self/maps that come from a file and
// cannot be written. In a static program all of them are its own.
func programMappings() (found []mapping) {
	maps, _ := ReadFile("/proc/self/maps") // without it there is none
	for line := range strings.Lines(string(maps)) {
		if m, ok := parseMapping(line); ok {
			found = append(found, m)
		}
	}
	return found
}

// parseMapping reads "START-END PERMS OFFSET DEV INODE PATH" (proc_pid_maps(5)).
func parseMapping(line string) (m mapping, ok bool) {
	f := strings.Fields(line)
	if len(f) < 6 || len(f[1]) != 4 || f[1][1] != '-' || f[4] == "0" {
		return m, false
	}
	from, to, ok := strings.Cut(f[0], "-")
	start, err := parseHex(from)
	end, err2 := parseHex(to)
	return mapping{start, end - start}, ok && err == nil && err2 == nil && end > start
}

func parseHex(s string) (uintptr, error) {
	v, err := strconv.ParseUint(s, 16, 64)
	return uintptr(v), err
}
