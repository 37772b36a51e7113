// SPDX-License-Identifier: Apache-2.0

package sys

import (
	"bufio"
	"os"
	"runtime/debug"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// Trim gives back memory that has no use while nothing happens. This memory is the
// unneeded heap and the pages of our own program. Those pages are in the page cache;
// the next use maps them again in a few microseconds for 64 KiB. Boot, the parser of
// the configuration and the like are never used again. Errors change nothing.
func Trim() {
	debug.FreeOSMemory()
	for _, m := range programMappings() {
		unix.Syscall(unix.SYS_MADVISE, m.start, m.length, unix.MADV_DONTNEED)
	}
}

type mapping struct{ start, length uintptr }

// programMappings returns the parts of /proc/self/maps that come from a file and
// cannot be written. In a static program all of them are its own.
func programMappings() (found []mapping) {
	f, err := os.Open("/proc/self/maps")
	if err != nil {
		return nil
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		if m, ok := parseMapping(lines.Text()); ok {
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
