// SPDX-License-Identifier: Apache-2.0

// Package invariants tests the invariants of the trust boundary (I1 to I8 in
// docs/threat-model.md). Each test states a property, and fails when the code that
// keeps it is removed.
package invariants

import (
	"bufio"
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"
)

// readMemory reads every readable mapping of a process of the host and calls f with each
// piece. Pieces overlap, so that f sees each text whole.
func readMemory(t *testing.T, hostPID int, f func(at uint64, piece []byte)) (bytes int) {
	t.Helper()
	maps, err := os.Open(fmt.Sprintf("/proc/%d/maps", hostPID))
	if err != nil {
		t.Fatal(err)
	}
	defer maps.Close()
	mem, err := os.Open(fmt.Sprintf("/proc/%d/mem", hostPID))
	if err != nil {
		t.Fatal(err)
	}
	defer mem.Close()
	const size, overlap = 1 << 20, 64
	for lines := bufio.NewScanner(maps); lines.Scan(); {
		field := strings.Fields(lines.Text())
		from, to, _ := strings.Cut(field[0], "-")
		start, err1 := strconv.ParseUint(from, 16, 64)
		end, err2 := strconv.ParseUint(to, 16, 64)
		if err1 != nil || err2 != nil || !strings.HasPrefix(field[1], "r") || strings.HasSuffix(lines.Text(), "[vvar]") || end-start > 256<<20 {
			continue
		}
		buf := make([]byte, size+overlap)
		for at := start; at < end; at += size {
			n, _ := mem.ReadAt(buf[:min(size+overlap, end-at)], int64(at)) // an unreadable page ends a piece
			bytes += n
			f(at, buf[:n])
		}
	}
	return bytes
}
